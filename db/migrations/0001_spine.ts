/** The first schema: trees, tasks, actors, their mailboxes and journal, and the definitions. */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const statements = [
    `CREATE TABLE trees (
      id TEXT PRIMARY KEY, root_id TEXT NOT NULL, instruction TEXT NOT NULL, status TEXT NOT NULL,
      mode TEXT NOT NULL, priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
      after_task TEXT NOT NULL, budget_json TEXT NOT NULL, timeout_seconds INTEGER NOT NULL,
      result TEXT, summary TEXT, reason TEXT,
      created_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
      version INTEGER NOT NULL DEFAULT 1) STRICT`,
    `CREATE INDEX trees_by_status ON trees (status, id)`,
    `CREATE TABLE tasks (
      id TEXT PRIMARY KEY, tree_id TEXT NOT NULL REFERENCES trees (id),
      parent_id TEXT REFERENCES tasks (id), call_id TEXT, purpose TEXT NOT NULL,
      agent TEXT NOT NULL, agent_version INTEGER NOT NULL, instruction TEXT NOT NULL,
      depth INTEGER NOT NULL, status TEXT NOT NULL, result TEXT, summary TEXT, reason TEXT,
      model TEXT, input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
      timeout_seconds INTEGER NOT NULL,
      created_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
      version INTEGER NOT NULL DEFAULT 1) STRICT`,
    `CREATE INDEX tasks_by_tree ON tasks (tree_id, id)`,
    `CREATE INDEX tasks_by_parent ON tasks (parent_id)`,
    // One child a call, however often the effect that starts it is performed.
    `CREATE UNIQUE INDEX tasks_by_call ON tasks (parent_id, call_id) WHERE call_id IS NOT NULL`,
    `CREATE INDEX tasks_running ON tasks (id) WHERE status = 'running'`,
    `CREATE TABLE actors (
      address TEXT PRIMARY KEY, tree_id TEXT NOT NULL REFERENCES trees (id), kind TEXT NOT NULL,
      status TEXT NOT NULL DEFAULT 'live', epoch INTEGER NOT NULL DEFAULT 0, owner TEXT,
      lease_until INTEGER NOT NULL DEFAULT 0, state_json TEXT, progress_at INTEGER NOT NULL,
      stuck_rung INTEGER NOT NULL DEFAULT 0, rung_at INTEGER, stuck_at INTEGER) STRICT`,
    `CREATE INDEX actors_live ON actors (address) WHERE status = 'live'`,
    `CREATE INDEX actors_by_owner ON actors (owner) WHERE owner IS NOT NULL`,
    `CREATE TABLE entries (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, task_id TEXT NOT NULL,
      tree_id TEXT NOT NULL, received INTEGER NOT NULL, type TEXT NOT NULL,
      message_json TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT`,
    `CREATE INDEX entries_by_task ON entries (task_id, seq)`,
    `CREATE INDEX entries_by_tree ON entries (tree_id, seq)`,
    `CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
      BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an entry cannot be changed'); END`,
    `CREATE TRIGGER entries_are_not_removed BEFORE DELETE ON entries
      BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an entry cannot be removed'); END`,
    `CREATE TABLE envelopes (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tree_id TEXT NOT NULL,
      to_address TEXT NOT NULL, from_address TEXT NOT NULL, message_json TEXT NOT NULL,
      attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL DEFAULT 0,
      created_at INTEGER NOT NULL) STRICT`,
    `CREATE INDEX envelopes_by_address ON envelopes (to_address, seq)`,
    `CREATE TABLE timers (
      address TEXT NOT NULL, name TEXT NOT NULL, tree_id TEXT NOT NULL, message_json TEXT NOT NULL,
      due_at INTEGER NOT NULL, PRIMARY KEY (address, name)) STRICT`,
    `CREATE INDEX timers_by_due ON timers (due_at)`,
    `CREATE TABLE outbox (
      key TEXT PRIMARY KEY, tree_id TEXT NOT NULL, address TEXT NOT NULL, holds TEXT NOT NULL,
      effect_json TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending',
      attempts INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, done_at INTEGER) STRICT`,
    `CREATE INDEX outbox_open ON outbox (address) WHERE status IN ('pending', 'started')`,
    `CREATE TABLE agents (
      name TEXT NOT NULL, version INTEGER NOT NULL, description TEXT NOT NULL,
      instruction TEXT NOT NULL, tools_json TEXT NOT NULL, documents_json TEXT NOT NULL,
      limits_json TEXT NOT NULL, web_search INTEGER NOT NULL, model TEXT NOT NULL,
      after_task INTEGER NOT NULL, origin TEXT NOT NULL, created_at INTEGER NOT NULL,
      disabled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (name, version)) STRICT`,
    `CREATE TABLE documents (
      name TEXT NOT NULL, version INTEGER NOT NULL, description TEXT NOT NULL,
      content TEXT NOT NULL, origin TEXT NOT NULL, created_at INTEGER NOT NULL,
      disabled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (name, version)) STRICT`,
    `CREATE TABLE tools (
      name TEXT NOT NULL, version INTEGER NOT NULL, description TEXT NOT NULL,
      input_schema_json TEXT NOT NULL, effect TEXT NOT NULL, source TEXT, origin TEXT NOT NULL,
      created_at INTEGER NOT NULL, disabled INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (name, version)) STRICT`,
    `CREATE TABLE task_documents (
      task_id TEXT NOT NULL REFERENCES tasks (id), name TEXT NOT NULL, created_at INTEGER NOT NULL,
      PRIMARY KEY (task_id, name)) STRICT`,
    `CREATE TABLE task_tools (
      task_id TEXT NOT NULL REFERENCES tasks (id), name TEXT NOT NULL, created_at INTEGER NOT NULL,
      PRIMARY KEY (task_id, name)) STRICT`,
    `CREATE TABLE reviews (
      id TEXT PRIMARY KEY, tree_id TEXT NOT NULL REFERENCES trees (id),
      task_id TEXT NOT NULL REFERENCES tasks (id), call_id TEXT, issue TEXT NOT NULL,
      blocking INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'open', comment TEXT,
      created_at INTEGER NOT NULL, decided_at INTEGER) STRICT`,
    `CREATE UNIQUE INDEX reviews_by_call ON reviews (task_id, call_id) WHERE call_id IS NOT NULL`,
    `CREATE TABLE dead_letters (
      id TEXT PRIMARY KEY, tree_id TEXT NOT NULL, address TEXT NOT NULL, message_json TEXT NOT NULL,
      attempts INTEGER NOT NULL, reason TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT`,
    `CREATE TABLE idempotency_keys (
      key TEXT PRIMARY KEY, request TEXT NOT NULL, response_json TEXT NOT NULL,
      created_at INTEGER NOT NULL) STRICT`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
