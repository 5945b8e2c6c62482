/**
 * What follows from a task's beginning and end follows inside the database, in the statement that begins
 * or ends it: no path of the program can end a task and forget its actor, or begin one below a task that
 * has ended. Children and questions are known by the effect that asked for them, because a model may
 * name two calls alike.
 */
import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const statements = [
    // A tree counts its own tasks, so that the five-hundredth costs what the first does.
    `ALTER TABLE trees ADD COLUMN tasks_begun INTEGER NOT NULL DEFAULT 0`,
    `UPDATE trees SET tasks_begun = (SELECT count(*) FROM tasks WHERE tree_id = trees.id)`,
    `CREATE INDEX trees_by_root ON trees (root_id)`,
    `CREATE INDEX reviews_by_task ON reviews (task_id)`,
    `ALTER TABLE tasks ADD COLUMN effect_key TEXT`,
    `DROP INDEX tasks_by_call`,
    `CREATE UNIQUE INDEX tasks_by_effect ON tasks (effect_key) WHERE effect_key IS NOT NULL`,
    `ALTER TABLE reviews ADD COLUMN asked_by_key TEXT`,
    `DROP INDEX reviews_by_call`,
    `CREATE UNIQUE INDEX reviews_by_effect ON reviews (asked_by_key)
      WHERE asked_by_key IS NOT NULL`,
    // Who wanted what is written down: a person, a token, a task, the system.
    `ALTER TABLE entries ADD COLUMN by TEXT`,
    `CREATE TABLE commands (
      id TEXT PRIMARY KEY, verb TEXT NOT NULL, by TEXT NOT NULL, command_json TEXT NOT NULL,
      tree_id TEXT, created_at INTEGER NOT NULL) STRICT`,
    `CREATE TRIGGER commands_are_not_changed BEFORE UPDATE ON commands
      BEGIN SELECT RAISE(ABORT, 'what was commanded cannot be changed'); END`,
    `CREATE TRIGGER task_begins BEFORE INSERT ON tasks
      WHEN NEW.parent_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = NEW.parent_id AND ended_at IS NULL)
      BEGIN SELECT RAISE(ABORT, 'The task that asked for it has ended'); END`,
    `CREATE TRIGGER task_is_counted AFTER INSERT ON tasks
      BEGIN UPDATE trees SET tasks_begun = tasks_begun + 1 WHERE id = NEW.tree_id; END`,
    `CREATE TRIGGER task_ends AFTER UPDATE OF ended_at ON tasks
      WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL
      BEGIN
        UPDATE actors SET status = 'stopped', owner = NULL WHERE address = NEW.id;
        DELETE FROM envelopes WHERE to_address = NEW.id;
        DELETE FROM timers WHERE address = NEW.id;
        UPDATE outbox SET status = 'dropped', done_at = NEW.ended_at
          WHERE address = NEW.id AND status IN ('pending', 'started', 'waiting');
        UPDATE reviews SET status = 'withdrawn', decided_at = NEW.ended_at
          WHERE task_id = NEW.id AND status = 'open' AND blocking = 1;
        INSERT INTO entries (id, task_id, tree_id, received, type, message_json, created_at)
          VALUES (NEW.id, NEW.id, NEW.tree_id, 0, 'task.ended',
            json_insert(
              json_patch(json_object('type', 'task.ended', 'status', NEW.status),
                json_object('summary', NEW.summary, 'reason', NEW.reason)),
              '$.result', NEW.result),
            NEW.ended_at);
        UPDATE trees SET status = NEW.status, result = NEW.result, summary = NEW.summary,
            reason = NEW.reason, ended_at = NEW.ended_at, version = version + 1
          WHERE root_id = NEW.id AND ended_at IS NULL;
      END`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
