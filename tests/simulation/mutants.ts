/**
 * Faults that the loop once had, each as an edit that takes its mend out again. A simulation that does not
 * find one of them is blind; `mutants_test.ts` runs it over each.
 */

export interface Mutant {
  /** What the system would do again. */
  readonly story: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  readonly file: string;
  /** Stands there exactly once. */
  readonly old: string;
  readonly new: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    story: "A child that was born since somebody looked outlives the end of its subtree",
    edits: [{
      file: "db/endings.ts",
      old: `.where("id", "in", (eb) => eb.selectFrom("below").select("id"))`,
      new: `.where("id", "in", (eb) => eb.selectFrom("below").select("id"))
      .where((eb) => eb.or([eb("id", "=", id), eb("created_at", "<", now - 1_000)]))`,
    }],
  },
  {
    story: "An actor that waits for a slot is claimed a second time when it is urgent",
    edits: [{
      file: "runtime/core/activation.ts",
      old: `actions: [{ do: "quit" }, ...actions] };
    }
    case "claiming":`,
      new: `actions };
    }
    case "claiming":`,
    }, {
      file: "runtime/core/activation.ts",
      old: `return state.at === "waiting" ? claiming(state.runnable) : keep(state);`,
      new: `return state.at === "waiting"
        ? claiming(state.runnable)
        : "held" in state
        ? claiming(state.held.runnable)
        : keep(state);`,
    }, {
      file: "runtime/loop/scheduler.ts",
      old: `this.#tell(this.#lives.get(runnable.address)!, { type: "picked" });`,
      new: `const life = this.#lives.get(runnable.address);
      if (life) this.#tell(life, { type: "picked" });`,
    }],
  },
  {
    story: "A passivation that failed is forgotten, and the lease goes on for ever",
    edits: [{
      file: "runtime/core/activation.ts",
      old: `  if (!("failures" in state)) return keep(state);
  const failures`,
      new: `  if (!("failures" in state)) return keep(state);
  if (state.at === "passivating") return keep(RELEASED);
  const failures`,
    }, {
      file: "db/actors.ts",
      old: `      .whereRef("actors.address", "=", sql\`held.value ->> 0\`)
      .whereRef("actors.owner", "=", sql\`held.value ->> 1\`)
      .whereRef("actors.epoch", "=", sql\`held.value ->> 2\`)`,
      new: `      .where("actors.owner", "is not", null)`,
    }, {
      file: "db/actors.ts",
      old: `json_each(\${held_json})`,
      new: `json_each(json_insert(\${held_json}, '$[#]', 0))`,
    }],
  },
  {
    story: "Who waits for a slot after a restart counts as stuck",
    edits: [{
      file: "db/tasks.ts",
      old: `return [queueAgain({ owner }), releaseAllOf({ owner })];`,
      new: `return [releaseAllOf({ owner })];`,
    }, {
      file: "db/ladder.ts",
      old: `              .where(held)
`,
      new: "",
    }, {
      file: "db/ladder.ts",
      old: `    .where(sql<number>\`owner IS NOT NULL\`, "=", held)
`,
      new: "",
    }, {
      file: "db/ladder.ts",
      old: `place: held ? "held" : has_work ? "waits_for_slot" : "rests",`,
      new: `place: held || has_work ? "held" : "rests",`,
    }],
  },
  {
    story:
      "A child is known by the model's call id, and an effect that is refused is tried for ever",
    edits: [{
      file: "runtime/commands/start_child.ts",
      old: `effect_key: asked.effect_key,`,
      new: `effect_key: asked.call_id === null ? asked.effect_key : parent_id + asked.call_id,`,
    }, {
      file: "runtime/outbox/closing.ts",
      old: `outcome = refused(due.effect, reason, outcome);
        continue;
      }
      unknown`,
      new: `return "again";
      }
      unknown`,
    }],
  },
  {
    story: "Who was ended by a commit that nobody heard of keeps its slot",
    edits: [{
      file: "runtime/loop/scheduler.ts",
      old: `if (result.ok) this.#dropLost(held, result.rows.of(renewing));
    else log(`,
      new: `if (!result.ok) log(`,
    }],
  },
  {
    story: "A model that is asked anew need not be heard any more",
    edits: [{
      file: "runtime/model/account.ts",
      old: `    onPiece({ type: "asked" });
`,
      new: "",
    }],
  },
];
