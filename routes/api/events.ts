/**
 * `/api/trees/:id/events`: a tree's journal as it grows, and its tasks as they change, as
 * server-sent events. An entry's id is its `seq`, so that a client which reconnects misses nothing.
 */
import { listEntries } from "../../db/entries.ts";
import { tasksOf } from "../../db/task_views.ts";
import { findTree } from "../../db/trees.ts";
import {
  PAGE_ROWS_MAX,
  STREAM_BACK_MS,
  STREAM_EVERY_MS,
  STREAM_PING_MS,
} from "../../runtime/core/limits.ts";
import { isFinal } from "../../runtime/core/protocol.ts";
import type { Happening } from "../../runtime/passing/events.ts";
import { type Draft, type DraftHeard, saidSince } from "../../runtime/passing/drafts.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { noPlace, type Places } from "../http/places.ts";

/**
 * Events: `message` (a journal entry), `task` (a task that changed), `tree` (the tree that changed),
 * `delta` (what a model is saying, see `Deltas`), and `end` once nothing more will come; then the
 * stream closes.
 * @param last the seq after which to begin
 * @throws {Problem} 503 when too many streams are open
 */
export function treeEvents(
  kernel: Kernel,
  places: Places,
  tree_id: string,
  last: number,
): Response {
  const leave = places.take();
  if (!leave) throw noPlace(places);
  const wake = new Wake();
  const callOff = kernel.events.subscribe(tree_id, (news) => wake.call(news));
  const ping = setInterval(() => wake.call("ping"), STREAM_PING_MS);
  const source = eventsOf(kernel, tree_id, last, wake);
  const encoder = new TextEncoder();
  // More than once: a cancelled stream may end its last read too.
  const finish = () => {
    clearInterval(ping);
    callOff();
    leave();
  };
  const body = new ReadableStream<Uint8Array>({
    // Pulled: a slow reader is waited for, and what it missed it reads from the journal.
    async pull(controller) {
      try {
        const { done, value } = await source.next();
        if (!done) return controller.enqueue(encoder.encode(value));
        finish();
        controller.close();
      } catch (error) {
        // The store failed, or the client left meanwhile: whoever is there connects again.
        finish();
        controller.error(error);
      }
    },
    cancel() {
      wake.close();
      finish();
    },
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}

type Called = Happening | "ping" | "close";

/** Remembers the most that somebody called for until somebody waits. */
class Wake {
  #called: Called | null = "committed";
  #resolve: (() => void) | null = null;

  call(why: Happening | "ping"): void {
    if (URGENCY[why] > URGENCY[this.#called ?? "ping"] || this.#called === null) this.#called = why;
    this.#resolve?.();
  }

  close(): void {
    this.#called = "close";
    this.#resolve?.();
  }

  async wait(): Promise<Called> {
    if (this.#called === null) await new Promise<void>((resolve) => this.#resolve = resolve);
    this.#resolve = null;
    const why = this.#called!;
    if (why !== "close") this.#called = null;
    return why;
  }
}

/** Whoever reads what was committed reads what passes too. */
const URGENCY: Readonly<Record<Called, number>> = { ping: 0, passing: 1, committed: 2, close: 3 };

async function* eventsOf(
  kernel: Kernel,
  tree_id: string,
  last: number,
  wake: Wake,
): AsyncGenerator<string> {
  const db = kernel.read;
  const shown = new Map<string, string>();
  const drafts = new Deltas();
  const changed = (id: string, view: unknown): boolean => {
    const text = JSON.stringify(view);
    if (shown.get(id) === text) return false;
    shown.set(id, text);
    return true;
  };
  yield `retry: ${STREAM_BACK_MS}\n\n`;
  for (;;) {
    const why = await wake.wait();
    if (why === "close") return;
    if (why === "ping") {
      yield ": ping\n\n";
      continue;
    }
    // Tasks are read before entries: what a task's status says, its journal says already.
    // What is being said, before what is written: a finished reply follows its last piece.
    yield* drafts.news(kernel.drafts.ofTree(tree_id));
    if (why === "passing") {
      await rest();
      continue;
    }
    const [tree, tasks] = await Promise.all([findTree(db, tree_id), tasksOf(db, tree_id)]);
    for (;;) {
      const page = await listEntries(db, { tree_id }, { after: last, limit: PAGE_ROWS_MAX });
      for (const entry of page.items) yield event("message", entry, last = entry.seq);
      if (page.next_cursor === null) break;
    }
    for (const task of tasks) if (changed(task.id, task)) yield event("task", task);
    if (changed(tree_id, tree)) yield event("tree", tree);
    if (tree && isFinal(tree.status) && tasks.every(({ status }) => isFinal(status))) {
      yield event("end", { tree_id });
      return;
    }
    await rest();
  }
}

function rest(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, STREAM_EVERY_MS));
}

/**
 * One reader's place in the replies that are on their way. A `delta` goes on with block `block` of a
 * task's turn; a new `attempt` begins the reply anew, and `waiting` says why nothing comes yet. Who joins
 * late reads everything from its beginning.
 */
class Deltas {
  readonly #heard = new Map<string, DraftHeard>();

  *news(drafts: readonly Draft[]): Generator<string> {
    for (const draft of drafts) {
      const { task_id, turn, attempt, waiting, blocks } = draft;
      const said = saidSince(this.#heard.get(task_id) ?? null, draft);
      this.#heard.set(task_id, said.heard);
      const reply = { task_id, turn, attempt };
      if (said.waits_anew && waiting !== null) yield event("delta", { ...reply, waiting });
      for (const { block, text } of said.more) {
        const { kind, name } = blocks[block];
        yield event("delta", { ...reply, block, kind, name, text });
      }
    }
    const open = new Set(drafts.map(({ task_id }) => task_id));
    for (const task_id of this.#heard.keys()) if (!open.has(task_id)) this.#heard.delete(task_id);
  }
}

function event(type: string, value: unknown, id?: number): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${type}\ndata: ${
    JSON.stringify(value)
  }\n\n`;
}
