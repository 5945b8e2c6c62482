/** Ends the trees that have run as long as they may: a person's silence counts like any work. */
import { timedTrees } from "../../db/trees.ts";
import { commitAndTell, type Committing } from "../commands/commit.ts";
import { ending } from "../commands/ending.ts";
import type { Clock, Ids } from "../ports.ts";
import { Due } from "./due.ts";

export interface WallTimePorts extends Committing {
  readonly clock: Clock;
  readonly ids: Ids;
  /** Longest time between two looks. */
  readonly check_interval_ms: number;
}

export class WallTimeLook {
  readonly #ports: WallTimePorts;
  /** A look reads all trees that go on. */
  readonly #due = new Due();

  constructor(ports: WallTimePorts) {
    this.#ports = ports;
  }

  /** A tree may run so long from now. */
  expect(wall_ms: number): void {
    this.#due.by(this.#ports.clock.now() + wall_ms);
  }

  async look(): Promise<void> {
    const { store, clock, check_interval_ms } = this.#ports;
    const now = clock.now();
    await this.#due.look(now, check_interval_ms, async () => {
      for (const tree of await timedTrees(store.read, now)) {
        // One that cannot be ended just now is found again by the next look.
        this.#due.by(tree.over_at);
        if (tree.over_at > now) return;
        await this.#end(tree);
      }
    });
  }

  async #end(tree: { tree_id: string; root_id: string; priority: number; wall_seconds: number }) {
    const { tree_id, priority, root_id, wall_seconds } = tree;
    const reason = `The tree's budget is used up: it ran for ${wall_seconds} s, its limit`;
    const end = { status: "failed", result: null, reason } as const;
    const work = ending(this.#ports, { id: root_id, tree_id, priority }, end);
    await commitAndTell(this.#ports, work.unit, work.concerned);
  }
}
