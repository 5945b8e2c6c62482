import assert from "node:assert/strict";
import { type Runnable, Schedule } from "../../runtime/core/schedule.ts";

const runnable = (tree_id: string, priority: number, address = tree_id): Runnable => ({
  address,
  tree_id,
  priority,
  urgent: false,
});

/** Takes so many turns; whoever ran wants to run again. */
function turns(schedule: Schedule, times: number): Record<string, number> {
  const taken: Record<string, number> = {};
  for (let turn = 0; turn < times; turn++) {
    const next = schedule.take()!;
    taken[next.tree_id] = (taken[next.tree_id] ?? 0) + 1;
    schedule.add(next);
  }
  return taken;
}

Deno.test("a tree of priority 9 gets ten turns for one of priority 0", () => {
  const schedule = new Schedule();
  schedule.add(runnable("high", 9));
  schedule.add(runnable("low", 0));
  const taken = turns(schedule, 1100);
  assert.ok(Math.abs(taken.high - 1000) <= 2, JSON.stringify(taken));
  assert.ok(Math.abs(taken.low - 100) <= 2, JSON.stringify(taken));
});

Deno.test("a tree of priority 0 is not starved by many of priority 9", () => {
  const schedule = new Schedule();
  for (let at = 0; at < 9; at++) schedule.add(runnable(`high-${at}`, 9));
  schedule.add(runnable("low", 0));
  const taken = turns(schedule, 910);
  assert.ok(taken.low >= 9, JSON.stringify(taken));
});

Deno.test("trees of equal priority take turns whatever number of actors each has", () => {
  const schedule = new Schedule();
  for (let at = 0; at < 50; at++) schedule.add(runnable("crowd", 5, `crowd-${at}`));
  schedule.add(runnable("single", 5));
  const taken = turns(schedule, 100);
  assert.ok(Math.abs(taken.single - 50) <= 1, JSON.stringify(taken));
});

Deno.test("a tree that joins late starts level, without credit for the time before", () => {
  const schedule = new Schedule();
  schedule.add(runnable("old", 5));
  turns(schedule, 1000);
  schedule.add(runnable("new", 5));
  const taken = turns(schedule, 100);
  assert.ok(Math.abs(taken.old - 50) <= 1, JSON.stringify(taken));
});

Deno.test("a tree that was idle comes back without credit for the time of its absence", () => {
  const schedule = new Schedule();
  schedule.add(runnable("busy", 5));
  schedule.add(runnable("idle", 5));
  schedule.remove("idle");
  turns(schedule, 1000);
  schedule.add(runnable("idle", 5));
  const taken = turns(schedule, 100);
  assert.ok(Math.abs(taken.busy - 50) <= 1, JSON.stringify(taken));
});

Deno.test("a tree gains nothing by running dry after each of its turns", () => {
  const schedule = new Schedule();
  schedule.add(runnable("steady", 9));
  schedule.add(runnable("dry", 0));
  const taken: Record<string, number> = { steady: 0, dry: 0 };
  for (let turn = 0; turn < 550; turn++) {
    const next = schedule.take()!;
    taken[next.tree_id]++;
    // The dry tree is put back one turn later, when it had nobody waiting for a while.
    if (next.tree_id === "dry") {
      const other = schedule.take()!;
      taken[other.tree_id]++;
      schedule.add(other);
    }
    schedule.add(next);
  }
  assert.ok(taken.steady >= taken.dry * 9, JSON.stringify(taken));
});

Deno.test("actors of one tree run in the order in which they became runnable", () => {
  const schedule = new Schedule();
  for (const address of ["c", "a", "b"]) schedule.add(runnable("tree", 5, address));
  assert.deepEqual([1, 2, 3].map(() => schedule.take()!.address), ["c", "a", "b"]);
});

Deno.test("an actor that is added while it waits is taken once and keeps its place", () => {
  const schedule = new Schedule();
  for (const address of ["a", "b", "a"]) schedule.add(runnable("tree", 5, address));
  assert.equal(schedule.size, 2);
  assert.deepEqual([1, 2].map(() => schedule.take()!.address), ["a", "b"]);
  assert.equal(schedule.take(), null);
  assert.equal(schedule.size, 0);
});

Deno.test("a removed actor is not taken", () => {
  const schedule = new Schedule();
  schedule.add(runnable("tree", 5, "a"));
  schedule.add(runnable("tree", 5, "b"));
  schedule.remove("a");
  schedule.remove("nobody");
  assert.equal(schedule.size, 1);
  assert.equal(schedule.take()!.address, "b");
});

/** The root of a tree that has not begun. */
const unbegun = (tree_id: string, priority: number, unbegun_since: number): Runnable => ({
  ...runnable(tree_id, priority),
  unbegun_since,
});

const begins = (schedule: Schedule, times: number): string[] =>
  Array.from({ length: times }, () => schedule.take()!.tree_id);

Deno.test("trees of priority 9 begin before thirty of priority 0 that were handed in earlier and wait", () => {
  const schedule = new Schedule();
  for (let at = 0; at < 30; at++) schedule.add(unbegun(`low-${at}`, 0, at));
  for (let at = 0; at < 3; at++) schedule.add(unbegun(`high-${at}`, 9, 1_000 + at));
  assert.deepEqual(begins(schedule, 4), ["high-0", "high-1", "high-2", "low-0"]);
  assert.equal(schedule.size, 29);
});

Deno.test("of two thousand trees of mixed priority the first of priority 9 begins within the first five", () => {
  const schedule = new Schedule();
  const started: number[] = [];
  // One slot is free at each tenth handing in, the first of which has nobody else to choose.
  for (let at = 0; at < 2_000; at++) {
    schedule.add(unbegun(`tree-${at}`, at * 7 % 10, at));
    if (at % 10 === 0) started.push(schedule.take()!.priority);
  }
  assert.ok(started.slice(0, 5).includes(9), JSON.stringify(started.slice(0, 5)));
  while (schedule.size > 0) started.push(schedule.take()!.priority);
  assert.equal(started.length, 2_000);
});

Deno.test("a minute of waiting lifts a tree that has not begun by one step of priority", () => {
  const schedule = new Schedule();
  schedule.add(unbegun("just now", 9, 600_000));
  schedule.add(unbegun("eight minutes ago", 0, 120_000));
  schedule.add(unbegun("ten minutes ago", 0, 0));
  schedule.add(unbegun("at the same time, but higher", 1, 0));
  assert.deepEqual(begins(schedule, 4), [
    "at the same time, but higher",
    "ten minutes ago",
    "just now",
    "eight minutes ago",
  ]);
});

Deno.test("trees that wait to begin share the turns with those that have, and neither starves", () => {
  const schedule = new Schedule();
  for (let at = 0; at < 100; at++) schedule.add(unbegun(`new-${at}`, 5, at));
  schedule.add(runnable("begun", 5));
  let begun = 0;
  for (let turn = 0; turn < 100; turn++) {
    const next = schedule.take()!;
    if (next.tree_id !== "begun") continue;
    begun++;
    schedule.add(next);
  }
  assert.ok(Math.abs(begun - 50) <= 1, `${begun} turns`);
});

Deno.test("a tree that is taken out of the line does not begin, and may stand in it again", () => {
  const schedule = new Schedule();
  for (const [at, id] of ["a", "b", "c"].entries()) schedule.add(unbegun(id, 5, at));
  schedule.remove("a");
  schedule.remove("b");
  schedule.add(unbegun("b", 5, 9));
  assert.equal(schedule.size, 2);
  assert.deepEqual(begins(schedule, 2), ["c", "b"]);
  assert.equal(schedule.take(), null);
});

Deno.test("taking and removing are right whatever the order, with thousands of trees", () => {
  const schedule = new Schedule();
  const inside = new Set<string>();
  let seed = 1;
  const random = (below: number) => (seed = seed * 48_271 % 2_147_483_647) % below;
  for (let turn = 0; turn < 30_000; turn++) {
    const id = `tree-${random(3_000)}`;
    if (random(3) === 0) {
      schedule.remove(id);
      inside.delete(id);
    } else if (random(2) === 0) {
      schedule.add(random(2) ? runnable(id, random(10)) : unbegun(id, random(10), turn));
      inside.add(id);
    } else {
      const next = schedule.take();
      assert.equal(next === null, inside.size === 0);
      if (next) assert.ok(inside.delete(next.address), next.address);
    }
    assert.equal(schedule.size, inside.size);
  }
});
