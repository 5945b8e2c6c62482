/** Lets stuck tasks climb the ladder: carries out what `core/ladder.ts` decides, one commit a rung. */
import { standOnRung, type StuckTask, stuckTasks, WENT_ON } from "../../db/ladder.ts";
import { enqueue } from "../../db/envelopes.ts";
import { shortestTimeout } from "../../db/tasks.ts";
import { journalOf } from "../../db/entries.ts";
import type { UnitResult } from "../../db/unit.ts";
import { commitAndTell, type Committing } from "../commands/commit.ts";
import { ending } from "../commands/ending.ts";
import { unitOf } from "../commands/mod.ts";
import type { Reading, Work } from "../commands/work.ts";
import { climb, type Climbed, type LadderAction } from "../core/ladder.ts";
import { STUCK_LADDER_LOOK_MS, STUCK_LOOKS } from "../core/limits.ts";
import { type By, byText } from "../core/command.ts";
import { tailOf } from "../core/model/prompt.ts";
import { Refusal } from "../core/refusal.ts";
import { Due } from "./due.ts";

/** What an action adds to the commit of its rung. */
type Carried = Pick<Work, "unit" | "concerned">;

export interface LadderPorts extends Committing, Omit<Reading, "read"> {
  /** Longest time between two looks. */
  readonly check_interval_ms: number;
}

export class LadderLook {
  readonly #ports: LadderPorts;
  readonly #due = new Due();

  constructor(ports: LadderPorts) {
    this.#ports = ports;
  }

  /** Looks often enough for such a timeout from now on. */
  expect(timeout_ms: number): void {
    this.#due.by(this.#ports.clock.now() + timeout_ms / STUCK_LOOKS);
  }

  async look(): Promise<void> {
    const { store, clock, check_interval_ms } = this.#ports;
    const now = clock.now();
    await this.#due.look(now, check_interval_ms, async () => {
      const stuck = await stuckTasks(store.read, now);
      for (const task of stuck) await this.#climb(task, now);
      const shortest = await shortestTimeout(store.read) ?? Infinity;
      const pause = stuck.length > 0 ? STUCK_LADDER_LOOK_MS : shortest * 1000 / STUCK_LOOKS;
      this.#due.by(now + pause);
    });
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
    // A rung has one action at the most.
    const [action] = actions;
    const seen = { rung: task.standing.rung, held: task.place === "held" };
    try {
      const stand = standOnRung(task.id, seen, state);
      const carried = action ? await this.#carry(task, action, now) : null;
      const result = await commitAndTell(this.#ports, [stand, ...carried?.unit ?? []], (rows) => ({
        trees: [task.tree_id],
        ...carried?.concerned(rows),
      }));
      return state.rung === "supervised" ? whyRefused(result) : null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return error.message;
    }
  }

  async #carry(task: StuckTask, action: LadderAction, now: number): Promise<Carried> {
    const { store, ids } = this.#ports;
    const { id, tree_id, priority } = task;
    switch (action.type) {
      case "remind": {
        const message = { type: "nudge", text: action.text };
        const envelope = { id: ids.next(), tree_id, to: id, from: byText(BY), message };
        return {
          unit: [enqueue(envelope, now)],
          concerned: () => ({ wake: [{ address: id, tree_id, priority, urgent: false }] }),
        };
      }
      case "supervise": {
        const instruction = [
          `Decide about a stuck task: ${action.why}.`,
          `<stuck_task id="${id}" agent="${task.agent}">${task.instruction}</stuck_task>`,
          tailOf(await journalOf(store.read, id)),
        ].join("\n");
        const child = { agent: "supervisor", instruction, purpose: "supervision" } as const;
        const asked = { parent_id: id, call_id: null, effect_key: null };
        return await unitOf({ ...this.#ports, read: store.read }, {
          verb: "start_child",
          ...child,
          ...asked,
        }, BY);
      }
      case "give_up": {
        const end = { status: "failed", result: null, reason: action.reason } as const;
        return ending(this.#ports, task, end);
      }
    }
  }
}

const BY: By = { type: "system", part: "supervision" };

function whyRefused(result: UnitResult): string | null {
  return !result.ok && result.refused && result.reason !== WENT_ON ? result.reason : null;
}
