/**
 * Looks at the clock for everybody: fires due timers, wakes work that no event announced (retries
 * that are due, what a dead node held), climbs the ladder for stuck tasks (a reminder, then the
 * supervisor agent, then the end), and ends trees whose time is used up.
 */
import { standOnRung } from "../../db/actors.ts";
import { enqueue } from "../../db/envelopes.ts";
import { fireTimer } from "../../db/timers.ts";
import {
  dueTimers,
  runnableActors,
  shortestTimeout,
  type StuckTask,
  stuckTasks,
  timedTrees,
} from "../../db/views/watch.ts";
import { commitAndTell } from "../commands/commit.ts";
import { ending } from "../commands/ending.ts";
import { unitOf } from "../commands/mod.ts";
import type { Reading } from "../commands/work.ts";
import { journalOf } from "../../db/entries.ts";
import type { Committing } from "../commands/commit.ts";
import {
  POLL_MS,
  STUCK_GRACE_MS,
  STUCK_LADDER_LOOK_MS,
  STUCK_LOOKS,
  STUCK_RESOLVED_MS,
  SUPERVISION_MS,
} from "../core/limits.ts";
import type { Message } from "../core/protocol.ts";
import { tailOf } from "../core/model/prompt.ts";
import { Refusal } from "../core/refusal.ts";
import type { Child } from "../ports.ts";

type Parts = Committing & Reading & { readonly check_interval_ms: number };

export class Watch implements Child {
  readonly gone: Promise<string | null>;
  readonly #parts: Parts;
  #end!: (reason: string | null) => void;
  #callOff = () => {};
  #stopped = false;
  #looking: Promise<void> = Promise.resolve();
  /** When the stuck tasks are looked for next. */
  #stuck_look_at = 0;
  /** When the trees with a budget of time are looked for next: a look reads all trees that go on. */
  #wall_look_at = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.gone = new Promise((resolve) => this.#end = resolve);
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#callOff();
    await this.#looking;
    this.#end(null);
  }

  /** A tree has begun: looks often enough for its tasks' timeout, and when its time is used up. */
  expect(timeout_ms: number, wall_ms = Infinity): void {
    const now = this.#parts.clock.now();
    this.#stuck_look_at = Math.min(this.#stuck_look_at, now + timeout_ms / STUCK_LOOKS);
    this.#wall_look_at = Math.min(this.#wall_look_at, now + wall_ms);
  }

  #schedule(ms: number): void {
    this.#callOff = this.#parts.clock.after(ms, () => {
      this.#looking = this.#look().then(
        () => {
          if (!this.#stopped) this.#schedule(POLL_MS);
        },
        // The supervisor restarts a watch that failed; without it nothing would be looked at.
        (error: Error) => this.#end(error.message),
      );
    });
  }

  async #look(): Promise<void> {
    const { store, clock } = this.#parts;
    const now = clock.now();
    for (const timer of await dueTimers(store.read, now)) {
      const { address, name, tree_id, message_json, priority } = timer;
      const message = JSON.parse(message_json) as Message;
      const fired = await store.commit([
        fireTimer(address, name, now),
        enqueue({ id: this.#parts.ids.next(), tree_id, to: address, from: "timer", message }, now),
      ]);
      if (fired.ok) this.#parts.loop.wake({ address, tree_id, priority, urgent: false });
    }
    for (const { purpose, ...runnable } of await runnableActors(store.read, now)) {
      this.#parts.loop.wake({ ...runnable, urgent: purpose === "supervision" });
    }
    if (now >= this.#wall_look_at) await this.#endOverdue(now);
    if (now < this.#stuck_look_at) return;
    // Before anything is read: a tree that begins meanwhile brings it forward.
    this.#stuck_look_at = now + this.#parts.check_interval_ms;
    const stuck = await stuckTasks(store.read, now);
    for (const task of stuck) await this.#climb(task, now);
    const shortest = await shortestTimeout(store.read) ?? Infinity;
    const pause = stuck.length > 0 ? STUCK_LADDER_LOOK_MS : shortest * 1000 / STUCK_LOOKS;
    this.#stuck_look_at = Math.min(this.#stuck_look_at, now + pause);
  }

  /** Ends the trees that have run as long as they may: a person's silence counts like any work. */
  async #endOverdue(now: number): Promise<void> {
    // Before anything is read: a tree that begins meanwhile brings it forward.
    this.#wall_look_at = now + this.#parts.check_interval_ms;
    for (const tree of await timedTrees(this.#parts.store.read, now)) {
      // One that cannot be ended just now is found again by the next look.
      this.#wall_look_at = Math.min(this.#wall_look_at, tree.over_at);
      if (tree.over_at > now) return;
      const reason = `The tree's budget is used up: it ran for ${tree.wall_seconds} s, its limit`;
      await this.#giveUp({ ...tree, id: tree.root_id }, reason);
    }
  }

  /** One rung up, when its time has come. */
  async #climb(task: StuckTask, now: number): Promise<void> {
    const since = Math.round((now - task.progress_at) / 1000);
    if (task.stuck_at !== null && now - task.stuck_at >= STUCK_RESOLVED_MS) {
      return await this.#giveUp(task, `Stuck: no progress for ${since} s, and nobody resolved it`);
    }
    switch (task.stuck_rung) {
      case 0: {
        // A supervisor of a stuck task gets none of its own.
        if (task.purpose === "supervision") {
          if (now - task.progress_at < SUPERVISION_MS) return;
          return await this.#giveUp(task, `Stuck: no progress for ${since} s`);
        }
        const text = `There was no progress for ${since} s. Go on with your task, or end it.`;
        return await this.#rung(task, 1, now, { type: "nudge", text });
      }
      case 1:
        if (now - task.rung_at! >= STUCK_GRACE_MS) await this.#supervise(task, since, now);
        return;
      case 2:
        return;
    }
  }

  async #rung(task: StuckTask, rung: number, now: number, message: Message): Promise<void> {
    const { store, ids, news } = this.#parts;
    const { id, tree_id, priority } = task;
    const result = await store.commit([
      standOnRung({ address: id, progress_at: task.progress_at, rung, now }),
      enqueue({ id: ids.next(), tree_id, to: id, from: "supervision", message }, now),
    ]);
    if (!result.ok) return;
    news.publish(tree_id);
    this.#parts.loop.wake({ address: id, tree_id, priority, urgent: false });
  }

  async #supervise(task: StuckTask, since: number, now: number): Promise<void> {
    const { store } = this.#parts;
    const { id } = task;
    const instruction = [
      `Decide about a stuck task: it has made no progress for ${since} s and was reminded once.`,
      `<stuck_task id="${id}" agent="${task.agent}">${task.instruction}</stuck_task>`,
      tailOf(await journalOf(store.read, id)),
    ].join("\n");
    try {
      const child = { agent: "supervisor", instruction, purpose: "supervision" } as const;
      const command = { verb: "start_child", ...child, parent_id: id } as const;
      const work = await unitOf(
        this.#parts,
        { ...command, call_id: null, effect_key: null },
        { type: "system", part: "watch" },
      );
      await commitAndTell(this.#parts, [
        standOnRung({ address: id, progress_at: task.progress_at, rung: 2, now }),
        ...work.unit,
      ], work.concerned);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      await this.#giveUp(task, `Stuck: no progress for ${since} s (${error.message})`);
    }
  }

  async #giveUp(
    task: Pick<StuckTask, "id" | "tree_id" | "priority">,
    reason: string,
  ): Promise<void> {
    const end = { status: "failed", result: null, reason } as const;
    const work = ending(this.#parts, task, end);
    await commitAndTell(this.#parts, work.unit, work.concerned);
  }
}
