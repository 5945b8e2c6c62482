/** A subtree that ends while a child is born: the child ends with it or is refused, and none goes on spending. */
import assert from "node:assert/strict";
import { ending } from "../../runtime/commands/ending.ts";
import { unitOf } from "../../runtime/commands/mod.ts";
import type { By, VerbOf } from "../../runtime/core/command.ts";
import type { Effect } from "../../runtime/core/protocol.ts";
import { followers } from "../../runtime/tools/children.ts";
import { ulids } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";
import { playedLoop } from "../support/played_loop.ts";
import { mulberry32 } from "../support/random.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";

const SYSTEM: By = { type: "system", part: "test" };
const GONE = /^The task that asked for it has ended$/;
const TREE_GONE = /^The tree has ended/;

const childOf = (parent_id: string): VerbOf<"start_child"> => ({
  verb: "start_child",
  agent: "generalist",
  purpose: "subtask",
  instruction: `Work below ${parent_id}`,
  parent_id,
  call_id: null,
  effect_key: null,
});

const stopOf = (tree_id: string): VerbOf<"stop_tree"> => ({
  verb: "stop_tree",
  tree_id,
  reason: "enough",
});

/** Units of work as the verbs make them; each is made before any of them is committed. */
function reading({ store }: TempStore) {
  return { read: store.read, clock: new HandClock(), ids: ulids, timeout_seconds: 60 };
}

/** What goes on of a tree although its task, or the one above that, has ended: nothing may. */
async function living({ store: { read } }: TempStore, tree_id: string) {
  const ended = (of: string) =>
    read.selectFrom("tasks").select("id").where("tree_id", "=", of)
      .where("ended_at", "is not", null);
  const [tasks, actors, envelopes, effects] = await Promise.all([
    read.selectFrom("tasks").select("id").where("parent_id", "in", ended(tree_id))
      .where("ended_at", "is", null).execute(),
    read.selectFrom("actors").select("address").where("address", "in", ended(tree_id))
      .where((eb) => eb.or([eb("status", "=", "live"), eb("owner", "is not", null)])).execute(),
    read.selectFrom("envelopes").select("id").where("to_address", "in", ended(tree_id)).execute(),
    read.selectFrom("outbox").select("key").where("address", "in", ended(tree_id))
      .where("status", "in", ["pending", "started", "waiting"]).execute(),
  ]);
  return { tasks, actors, envelopes, effects };
}

const NOBODY = { tasks: [], actors: [], envelopes: [], effects: [] };

/** A chain of tasks, each below the one before. */
async function chainOf(db: TempStore, length: number) {
  const { tree_id, root_id } = await addTestTree(db);
  const chain = [root_id];
  while (chain.length < length) {
    const work = await unitOf(reading(db), childOf(chain.at(-1)!), SYSTEM);
    await db.commit(work.unit);
    chain.push(work.answer.task_id);
  }
  return { tree_id, chain };
}

/** Ends a task from outside, as the ladder and a supervisor do. */
const endOf = (db: TempStore, id: string, tree_id: string) =>
  ending(reading(db), { id, tree_id, priority: 5 }, {
    status: "failed",
    result: null,
    reason: "enough",
  });

for (const [what, length, why] of [["tree", 1, TREE_GONE], ["subtree", 3, GONE]] as const) {
  Deno.test(`a child whose birth is committed after its ${what}'s end is refused, though its parent lived when it was asked for`, async () => {
    await using db = await tempStore({ seeded: true });
    const { tree_id, chain } = await chainOf(db, length);
    const birth = await unitOf(reading(db), childOf(chain.at(-1)!), SYSTEM);
    await db.commit(endOf(db, chain.at(-2) ?? chain[0], tree_id).unit);
    const refused = await db.store.commit(birth.unit);
    assert.ok(!refused.ok && refused.refused);
    assert.match(refused.reason, why);
    assert.deepEqual(await living(db, tree_id), NOBODY);
  });

  Deno.test(`a child whose birth is committed before its ${what}'s end ends with it, though nobody knew it when that was asked for`, async () => {
    await using db = await tempStore({ seeded: true });
    const { tree_id, chain } = await chainOf(db, length);
    const end = endOf(db, chain.at(-2) ?? chain[0], tree_id);
    const birth = await unitOf(reading(db), childOf(chain.at(-1)!), SYSTEM);
    await db.commit(birth.unit);
    const rows = await db.commit(end.unit);
    const { task_id } = birth.answer;
    assert.ok(end.concerned(rows).drop?.includes(task_id), "the loop is told of it");
    assert.deepEqual(await living(db, tree_id), NOBODY);
    const { status, reason } = await db.store.read.selectFrom("tasks").select(["status", "reason"])
      .where("id", "=", task_id).executeTakeFirstOrThrow();
    assert.deepEqual([status, reason], ["cancelled", "The task above it ended: enough"]);
  });
}

Deno.test("births and ends that are committed side by side, in any order and at any depth, leave nobody behind", async () => {
  await using db = await tempStore({ seeded: true });
  const seed = Number(Deno.env.get("SEED") ?? 9);
  const random = mulberry32(seed);
  const draw = (below: number) => Math.floor(random() * below);
  const seen = { born: 0, refused: 0, spared: 0 };
  for (let round = 0; round < 150; round++) {
    const trace = `SEED=${seed}, round ${round}`;
    const { tree_id, chain } = await chainOf(db, 1 + draw(4));
    const births = await Promise.all(
      Array.from(
        { length: 1 + draw(3) },
        () => unitOf(reading(db), childOf(chain[draw(chain.length)]), SYSTEM),
      ),
    );
    const units = [endOf(db, chain[draw(chain.length)], tree_id), ...births]
      .map(({ unit }) => ({ unit, at: random(), turns: draw(3) }))
      .toSorted((a, b) => a.at - b.at);
    const results = await Promise.all(units.map(async ({ unit, turns }) => {
      // Into one group of commits, or into the next ones.
      await turnsOfTheLoop(turns);
      return await db.store.commit(unit);
    }));
    for (const result of results) {
      if (!result.ok) assert.match(result.reason, /has ended/, trace);
    }
    assert.deepEqual(await living(db, tree_id), NOBODY, trace);
    seen.refused += results.filter(({ ok }) => !ok).length;
    const ids = births.map(({ answer }) => answer.task_id);
    const born = await db.store.read.selectFrom("tasks").select("ended_at")
      .where("id", "in", ids).execute();
    seen.born += born.filter(({ ended_at }) => ended_at !== null).length;
    seen.spared += born.filter(({ ended_at }) => ended_at === null).length;
  }
  assert.ok(seen.born > 20 && seen.refused > 20 && seen.spared > 20, JSON.stringify(seen));
});

async function turnsOfTheLoop(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((go) => setImmediate(go));
}

const BEGINS: Effect = {
  type: "start_child",
  agent: "generalist",
  purpose: "subtask",
  instruction: "Work",
};

Deno.test("trees that are ended by their wall time or stopped while the loop begins their children keep no worker, claim or task", async () => {
  await using db = await tempStore({ seeded: true });
  const seed = Number(Deno.env.get("SEED") ?? 9);
  const random = mulberry32(seed);
  const loop = playedLoop(db, { start_child: followers({ read: db.store.read }) });
  const seen = { born: 0, unborn: 0 };
  const both = () => seen.born > 5 && seen.unborn > 5;
  // How fast the store is beside the loop is the machine's: it goes on, further apart, until both were seen.
  for (let round = 0; round < 25 || !both() && round < 250; round++) {
    const trace = `SEED=${seed}, round ${round}`;
    const from = loop.cells.handed.length;
    const trees = await Promise.all([1, 2, 3, 4].map((n) => {
      // Those without a budget of time are stopped.
      return addTestTree(db, n % 2 ? { budget: { wall_seconds: 1 } } : {});
    }));
    for (const { tree_id, root_id } of trees) {
      loop.scheduler.wake({ address: root_id, tree_id, priority: 5, urgent: false });
    }
    await loop.until("their first envelopes", () => loop.cells.handed.length === from + 4);
    const acts = [
      ...loop.cells.handed.slice(from).map((handed) => () => loop.cells.answer(handed, [BEGINS])),
      ...trees.filter((_, at) => at % 2).map(({ tree_id }) => () =>
        loop.dispatch(stopOf(tree_id), SYSTEM)
      ),
      () => {
        loop.clock.advance(2_000);
        return loop.wall_time.look();
      },
    ].map((act) => ({
      act,
      at: random(),
      turns: Math.floor(random() * 12 * (1 + Math.floor(round / 25))),
    }))
      .toSorted((a, b) => a.at - b.at);
    await Promise.all(acts.map(async ({ act, turns }) => {
      await turnsOfTheLoop(turns);
      await act();
    }));
    await loop.until(`their ends (${trace})`, async () => {
      await loop.wall_time.look();
      const ended = await db.store.read.selectFrom("trees").select("id")
        .where("id", "in", trees.map(({ tree_id }) => tree_id)).where("ended_at", "is not", null)
        .execute();
      return ended.length === 4;
    });
    await loop.until(`nobody at work (${trace})`, () => {
      const { running, runnable } = loop.scheduler.load;
      return running === 0 && runnable === 0 && loop.cells.workers.size === 0;
    });
    for (const { tree_id } of trees) {
      assert.deepEqual(await living(db, tree_id), NOBODY, trace);
      const tasks = await db.store.read.selectFrom("tasks").select("id")
        .where("tree_id", "=", tree_id).execute();
      if (tasks.length > 1) seen.born++;
      else seen.unborn++;
    }
  }
  assert.ok(both(), JSON.stringify(seen));
  await loop.stop();
});
