/**
 * The person of the simulation: hands tasks in, repeats what was not heard under the same key, and decides
 * what is put before them.
 */
import type { Dispatched, Kernel } from "../../runtime/kernel.ts";
import { type Command, PERSON } from "../../runtime/core/command.ts";
import type { Database } from "./database.ts";
import { drawPlan, type Plan } from "./plan.ts";
import type { World } from "./world.ts";

/** What they handed in. */
export interface Wanted {
  readonly plan: Plan;
  /** Once they know. */
  tree_id: string | null;
}

/** A person looks at their questions so often, now and then at once. */
const LOOK_MS = 4_000;
/** Before they try again what was not heard. */
const AGAIN_MS = 1_000;

export class Person {
  readonly wanted: Wanted[] = [];
  /** Who takes what they want; null while none runs. */
  kernel: Kernel | null = null;
  readonly #world: World;
  readonly #database: Database;
  #keys = 0;
  /** What they are at. */
  #busy = 0;

  constructor(world: World, database: Database) {
    this.#world = world;
    this.#database = database;
    for (let tree = world.between(1, 4); tree > 0; tree--) {
      this.#busy++;
      world.outside("person: hands in a task", world.between(0, 2_000), () => this.#begin());
    }
    this.#look();
  }

  /** Whether they want nothing more. */
  get idle(): boolean {
    return this.#busy === 0;
  }

  #begin(): void {
    const world = this.#world;
    const plan = drawPlan(world);
    const wall_seconds = world.chance(25) ? world.between(2, 30) : undefined;
    const wanted: Wanted = { plan, tree_id: null };
    this.wanted.push(wanted);
    const command: Command = {
      verb: "begin",
      instruction: JSON.stringify(plan),
      agent: "generalist",
      after_task: world.pick(["none", "none", "root", "all"]),
      priority: world.between(0, 9),
      timeout_seconds: world.between(10, 40),
      budget: wall_seconds === undefined ? {} : { wall_seconds },
    };
    this.#want(command, (answer) => wanted.tree_id = answer.tree_id);
  }

  /** Says it until it is heard; under one key it is done once. */
  #want<C extends Command>(command: C, heard: (answer: { tree_id: string }) => void): void {
    const key = `key ${++this.#keys}`;
    const again = () => this.#world.outside(`person: ${command.verb} again`, AGAIN_MS, say);
    const say = () => {
      const { kernel } = this;
      if (!kernel) return again();
      const { life } = this.#world;
      let answered = false;
      kernel.dispatch<Command>(command, PERSON, key).then((done: Dispatched<unknown>) => {
        answered = true;
        if (!done.ok && !done.refused) return again();
        this.#busy--;
        // Each verb that they use answers with its tree.
        if (done.ok) heard(done.answer as { tree_id: string });
      }, (error: Error) => {
        answered = true;
        if (/Refusal|NotThere|NotAllowed|KeyTaken/.test(error.name)) {
          this.#world.wrong(`${command.verb} is refused: ${error.message}`);
        } else again();
      });
      // A kernel that is killed answers nobody.
      this.#world.outside("person: no answer", 10 * AGAIN_MS, () => {
        if (!answered && life !== this.#world.life) say();
      });
    };
    say();
  }

  #look(): void {
    this.#world.outside("person: looks", this.#world.between(0, LOOK_MS), () => {
      const open = this.#database.look<{ id: string }>(
        "SELECT id FROM reviews WHERE status = 'open' AND blocking = 1",
      );
      if (open.length > 0) {
        const review_id = this.#world.pick(open).id;
        const decision = this.#world.pick(["approved", "approved", "rejected"] as const);
        this.#busy++;
        this.#want({ verb: "decide", review_id, decision, comment: "" }, () => {});
      }
      this.#look();
    });
  }
}
