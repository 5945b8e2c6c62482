/** Lets stuck tasks climb the ladder: carries out what `core/ladder.ts` decides, one commit a rung. */
import { standOnRung, type StuckTask, stuckTasks, WENT_ON } from "../../db/actors.ts";
import { enqueue } from "../../db/envelopes.ts";
import { shortestTimeout } from "../../db/views/watch.ts";
import type { Statement, UnitResult } from "../../db/unit.ts";
import { newChild } from "../commands/begin.ts";
import { commitAndTell, type Committing, type Concerned } from "../commands/commit.ts";
import { cancelling } from "../commands/ending.ts";
import { tailOf } from "../commands/tail.ts";
import { climb, type Climbed, type LadderAction } from "../core/ladder.ts";
import { STUCK_LADDER_LOOK_MS, STUCK_LOOKS } from "../core/limits.ts";
import { Refusal } from "../core/refusal.ts";
import type { Clock, Ids } from "../ports.ts";

/** What an action adds to the commit of its rung. */
interface Carried {
  readonly statements: readonly Statement[];
  readonly concerned: Concerned;
}

export interface LadderPorts extends Committing {
  readonly clock: Clock;
  readonly ids: Ids;
  /** Longest time between two looks. */
  readonly check_interval_ms: number;
}

export class LadderLook {
  readonly #ports: LadderPorts;
  /** When the next look is due. */
  #due_at = 0;

  constructor(ports: LadderPorts) {
    this.#ports = ports;
  }

  /** Looks often enough for such a timeout from now on. */
  expect(timeout_ms: number): void {
    const due_at = this.#ports.clock.now() + timeout_ms / STUCK_LOOKS;
    this.#due_at = Math.min(this.#due_at, due_at);
  }

  async look(): Promise<void> {
    const { store, clock, check_interval_ms } = this.#ports;
    const now = clock.now();
    if (now < this.#due_at) return;
    // Before anything is read: a tree that begins meanwhile brings it forward.
    this.#due_at = now + check_interval_ms;
    try {
      const stuck = await stuckTasks(store.read, now);
      for (const task of stuck) await this.#climb(task, now);
      const shortest = await shortestTimeout(store.read) ?? Infinity;
      const pause = stuck.length > 0 ? STUCK_LADDER_LOOK_MS : shortest * 1000 / STUCK_LOOKS;
      this.#due_at = Math.min(this.#due_at, now + pause);
    } catch (error) {
      this.#due_at = now;
      throw error;
    }
  }

  async #climb(task: StuckTask, now: number): Promise<void> {
    const { place, timeout_ms, purpose, standing } = task;
    const climbed = climb(standing, { type: "looked", now, place, timeout_ms, purpose });
    const why = await this.#commit(task, climbed, now);
    if (why === null) return;
    await this.#commit(task, climb(standing, { type: "unsupervised", now, why }), now);
  }

  /** @returns why nobody can be started to decide about it, if that is so */
  async #commit(task: StuckTask, { state, actions }: Climbed, now: number): Promise<string | null> {
    if (state.rung === task.standing.rung) return null;
    const seen = { rung: task.standing.rung, held: task.place === "held" };
    try {
      const carried = await Promise.all(actions.map((action) => this.#carry(task, action, now)));
      const result = await commitAndTell(
        this.#ports,
        [standOnRung(task.id, seen, state), ...carried.flatMap(({ statements }) => statements)],
        () => ({
          trees: [task.tree_id],
          wake: carried.flatMap(({ concerned }) => concerned.wake ?? []),
          drop: carried.flatMap(({ concerned }) => concerned.drop ?? []),
        }),
      );
      return state.rung === "supervised" ? whyRefused(result) : null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return error.message;
    }
  }

  async #carry(task: StuckTask, action: LadderAction, now: number): Promise<Carried> {
    const { store, ids } = this.#ports;
    const { id, tree_id, priority } = task;
    const runnable = { tree_id, priority, urgent: false };
    switch (action.type) {
      case "remind": {
        const message = { type: "nudge", text: action.text };
        return {
          statements: [
            enqueue({ id: ids.next(), tree_id, to: id, from: "supervision", message }, now),
          ],
          concerned: { wake: [{ ...runnable, address: id }] },
        };
      }
      case "supervise": {
        const instruction = [
          `Decide about a stuck task: ${action.why}.`,
          `<stuck_task id="${id}" agent="${task.agent}">${task.instruction}</stuck_task>`,
          await tailOf(store.read, id),
        ].join("\n");
        const request = {
          agent: "supervisor",
          instruction,
          purpose: "supervision",
          call_id: null,
        } as const;
        const child = await newChild(store.read, id, request, ids, now);
        return {
          statements: child.statements,
          concerned: { wake: [{ ...runnable, address: child.id, urgent: true }] },
        };
      }
      case "give_up": {
        const ending = { status: "failed", result: null, reason: action.reason } as const;
        const cut = await cancelling(this.#ports, id, ending);
        return {
          statements: cut.statements,
          concerned: {
            drop: cut.drop,
            wake: cut.wake.map((address) => ({ ...runnable, address })),
          },
        };
      }
    }
  }
}

function whyRefused(result: UnitResult): string | null {
  return !result.ok && result.refused && result.reason !== WENT_ON ? result.reason : null;
}
