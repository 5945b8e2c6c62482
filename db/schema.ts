/** The tables as Kysely sees them. Times are ms since 1970, ids ULIDs, `…_json` columns JSON texts. */
import type { Generated, Kysely } from "kysely";
import type { Rung } from "../runtime/core/ladder.ts";
import type { AfterTask, Purpose, Status } from "../runtime/core/protocol.ts";

/** What reads are given: they build typed queries on it and run nothing else. */
export type Db = Kysely<Schema>;

export interface Schema {
  trees: TreesTable;
  tasks: TasksTable;
  actors: ActorsTable;
  entries: EntriesTable;
  envelopes: EnvelopesTable;
  timers: TimersTable;
  outbox: OutboxTable;
  agents: AgentsTable;
  documents: DocumentsTable;
  tools: ToolsTable;
  task_documents: AttachmentsTable;
  task_tools: TaskToolsTable;
  reviews: ReviewsTable;
  dead_letters: DeadLettersTable;
  idempotency_keys: IdempotencyKeysTable;
  commands: CommandsTable;
  reservations: ReservationsTable;
  media: MediaTable;
  liveness: LivenessTable;
}

/** What a task's calls have used; of a tree all of its tasks together, which the database adds up. */
interface SpentColumns {
  /** Of whole prompts; the next two are parts of it. */
  input_tokens: Generated<number>;
  cache_read_tokens: Generated<number>;
  cache_write_tokens: Generated<number>;
  output_tokens: Generated<number>;
  /** In billionths of a dollar, without the calls whose price is unknown. */
  cost_nano: Generated<number>;
  unpriced_calls: Generated<number>;
}

/** What a person asked for: one tree of tasks. */
export interface TreesTable extends SpentColumns {
  id: string;
  root_id: string;
  instruction: string;
  status: Status;
  mode: "automatic" | "manual";
  priority: number;
  after_task: AfterTask;
  budget_json: string;
  /** Tasks that it has had so far; the database counts them. */
  tasks_begun: Generated<number>;
  /** What answered them; of several the last by name. */
  model: Generated<string | null>;
  /** Seconds without progress after which a task of this tree counts as stuck. */
  timeout_seconds: number;
  result: string | null;
  summary: string | null;
  reason: string | null;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  /** Grows with every change of the row, so that a watcher sees what it has not shown yet. */
  version: Generated<number>;
}

export interface TasksTable extends SpentColumns {
  id: string;
  tree_id: string;
  parent_id: string | null;
  /** The parent's tool call that this task answers. */
  call_id: string | null;
  /** The parent's effect that asked for it: performed twice, it begins one child. */
  effect_key: Generated<string | null>;
  purpose: Purpose;
  agent: string;
  agent_version: number;
  instruction: string;
  depth: number;
  status: Status;
  result: string | null;
  summary: string | null;
  reason: string | null;
  /** What answered its turns: `offline`, or the provider's name of the model. */
  model: string | null;
  timeout_seconds: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  version: Generated<number>;
}

/** The runtime's side of a task: who holds it, and the state that its journal led to. */
export interface ActorsTable {
  address: string;
  tree_id: string;
  kind: string;
  status: Generated<"live" | "stopped">;
  /** Grows with every claim; whoever settles with an older one changes nothing. */
  epoch: Generated<number>;
  owner: string | null;
  lease_until: Generated<number>;
  state_json: string | null;
  /** When it last got anywhere; what the watch for stuck tasks looks at. */
  progress_at: number;
  /** Of the ladder for stuck tasks. */
  rung: Generated<Rung>;
  /** When the current rung was reached, and when the first one was. */
  rung_at: number | null;
  stuck_at: number | null;
}

/** The journal: append-only, enforced by triggers. */
export interface EntriesTable {
  seq: Generated<number>;
  /** The envelope's id for a received message: a second settling of it is impossible. */
  id: string;
  task_id: string;
  tree_id: string;
  /** 1 for what the actor received, 0 for what it noted itself. */
  received: number;
  type: string;
  message_json: string;
  created_at: number;
  /** Who it comes from: `person`, the address of a task, `performer`, …; null for what the runtime noted. */
  by: Generated<string | null>;
}

export interface EnvelopesTable {
  seq: Generated<number>;
  id: string;
  tree_id: string;
  to_address: string;
  from_address: string;
  type: string;
  message_json: string;
  attempts: Generated<number>;
  due_at: Generated<number>;
  created_at: number;
}

export interface TimersTable {
  address: string;
  name: string;
  tree_id: string;
  message_json: string;
  due_at: number;
}

/** Effects that are committed and not yet, or already, performed. */
export interface OutboxTable {
  /** `envelope/index`: the effect's identity in the world outside. */
  key: string;
  tree_id: string;
  address: string;
  effect_json: string;
  /** `waiting`: for a person to allow it. */
  status: Generated<"pending" | "started" | "waiting" | "done" | "dropped">;
  attempts: Generated<number>;
  created_at: number;
  done_at: number | null;
}

/** A definition: versions are added, never changed; `disabled` is on the version. */
interface VersionedTable {
  name: string;
  version: number;
  description: string;
  origin: "seed" | "person" | "agent";
  created_at: number;
  disabled: Generated<number>;
}

export interface AgentsTable extends VersionedTable {
  instruction: string;
  tools_json: string;
  documents_json: string;
  limits_json: string;
  web_search: number;
  model: "fast" | "default" | "strong";
  after_task: number;
}

export interface DocumentsTable extends VersionedTable {
  content: string;
}

export interface ToolsTable extends VersionedTable {
  input_schema_json: string;
  effect: "none" | "read" | "write" | "external";
  /** Null for a tool that is built in, like all that follows. */
  source: string | null;
  permissions_json: string | null;
  tests_json: string | null;
  /** The tree that wrote it. */
  tree_id: string | null;
}

export interface AttachmentsTable {
  task_id: string;
  name: string;
  created_at: number;
}

/** A task keeps the version of a written tool that it was given; null for a built-in one. */
export interface TaskToolsTable extends AttachmentsTable {
  version: number | null;
}

export interface ReviewsTable {
  id: string;
  tree_id: string;
  task_id: string;
  call_id: string | null;
  /** The effect that asked it: performed twice, it asks once. Null when no effect did. */
  asked_by_key: Generated<string | null>;
  issue: string;
  /** The whole of what is to be allowed; null for a plain question. */
  detail: string | null;
  /** The effect that waits to be performed; null for a question, whose decision is the answer. */
  effect_key: string | null;
  blocking: number;
  status: Generated<"open" | "approved" | "rejected" | "withdrawn">;
  comment: string | null;
  created_at: number;
  decided_at: number | null;
}

export interface DeadLettersTable {
  id: string;
  tree_id: string;
  address: string;
  message_json: string;
  attempts: number;
  reason: string;
  created_at: number;
}

export interface IdempotencyKeysTable {
  key: string;
  /** What the key was used for, so that another request cannot reuse it. */
  request: string;
  response_json: string;
  created_at: number;
}

/** What was commanded from outside of a task and took effect, by whom: append-only. */
export interface CommandsTable {
  id: string;
  verb: string;
  by: string;
  command_json: string;
  tree_id: string | null;
  created_at: number;
}

/** What a model call under way may use up at the most, set aside from its tree's budget. */
export interface ReservationsTable {
  /** The effect's. */
  key: string;
  tree_id: string;
  tokens: number;
  cost_nano: number;
  /** 1 when the call was cut off by a crash: what it cost nobody knows, so this stays set aside. */
  lost: Generated<number>;
  created_at: number;
}

/** Pictures and documents that tools gave, by the hash of their bytes: journals name them. */
export interface MediaTable {
  hash: string;
  media_type: string;
  base64: string;
  created_at: number;
}

/** One row: when the database last proved that it can be written. */
export interface LivenessTable {
  id: number;
  written_at: number;
}
