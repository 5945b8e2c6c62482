import assert from "node:assert/strict";
import { root } from "../../actors/root.ts";
import {
  afterDeath,
  type ChildSpec,
  type Strategy,
  type SupervisorSpec,
  type WorkerSpec,
} from "../../runtime/core/supervision.ts";

const worker = (id: string, more: Partial<WorkerSpec> = {}): WorkerSpec => ({
  type: "worker",
  id,
  kind: "any",
  restart: "permanent",
  ...more,
});

const supervisor = (
  strategy: Strategy,
  children: ChildSpec[] = ["a", "b", "c"].map((id) => worker(id)),
): SupervisorSpec => ({
  type: "supervisor",
  id: "top",
  strategy,
  intensity: { restarts_max: 3, period_ms: 1000 },
  children,
});

function restarted(spec: SupervisorSpec, child: string): readonly string[] {
  const verdict = afterDeath(spec, child, true, [], 0);
  assert.equal(verdict.verdict, "restart");
  return verdict.verdict === "restart" ? verdict.ids : [];
}

Deno.test("one_for_one restarts the dead child alone", () => {
  assert.deepEqual(restarted(supervisor("one_for_one"), "b"), ["b"]);
});

Deno.test("one_for_all restarts every child in the order of their start", () => {
  assert.deepEqual(restarted(supervisor("one_for_all"), "b"), ["a", "b", "c"]);
});

Deno.test("rest_for_one restarts the dead child and those started after it", () => {
  assert.deepEqual(restarted(supervisor("rest_for_one"), "a"), ["a", "b", "c"]);
  assert.deepEqual(restarted(supervisor("rest_for_one"), "b"), ["b", "c"]);
  assert.deepEqual(restarted(supervisor("rest_for_one"), "c"), ["c"]);
});

Deno.test("a permanent child is restarted after a crash and after a normal end", () => {
  const spec = supervisor("one_for_one");
  assert.equal(afterDeath(spec, "a", true, [], 0).verdict, "restart");
  assert.equal(afterDeath(spec, "a", false, [], 0).verdict, "restart");
});

Deno.test("a transient child is restarted after a crash only", () => {
  const spec = supervisor("one_for_one", [worker("a", { restart: "transient" })]);
  assert.equal(afterDeath(spec, "a", true, [], 0).verdict, "restart");
  assert.equal(afterDeath(spec, "a", false, [], 0).verdict, "leave");
});

Deno.test("a temporary child is never restarted, also not by a significant crash", () => {
  const spec = supervisor("one_for_all", [
    worker("a", { restart: "temporary", significant: true }),
    worker("b"),
  ]);
  assert.equal(afterDeath(spec, "a", true, [], 0).verdict, "leave");
});

Deno.test("a temporary child is stopped with the others, and not started again with them", () => {
  const spec = supervisor("rest_for_one", [
    worker("a"),
    worker("b", { restart: "temporary" }),
    worker("c"),
  ]);
  const verdict = afterDeath(spec, "a", true, [], 0);
  assert.deepEqual(verdict, {
    verdict: "restart",
    stops: ["a", "b", "c"],
    ids: ["a", "c"],
    restarts: [0],
  });
});

Deno.test("the death of a significant child is escalated at the first time", () => {
  const spec = supervisor("one_for_one", [worker("a", { significant: true }), worker("b")]);
  const verdict = afterDeath(spec, "a", true, [], 0);
  assert.equal(verdict.verdict, "escalate");
  assert.match(verdict.verdict === "escalate" ? verdict.reason : "", /^a died/);
});

Deno.test("a significant transient child that ended normally is left alone", () => {
  const spec = supervisor("one_for_one", [
    worker("a", { significant: true, restart: "transient" }),
  ]);
  assert.equal(afterDeath(spec, "a", false, [], 0).verdict, "leave");
});

Deno.test("a child that the supervisor does not know is left alone", () => {
  assert.equal(afterDeath(supervisor("one_for_all"), "stranger", true, [], 0).verdict, "leave");
});

Deno.test("restarts up to the intensity are made, and one more is escalated", () => {
  const spec = supervisor("one_for_one");
  let restarts: readonly number[] = [];
  for (const now of [0, 1, 2]) {
    const verdict = afterDeath(spec, "a", true, restarts, now);
    assert.equal(verdict.verdict, "restart");
    if (verdict.verdict === "restart") restarts = verdict.restarts;
  }
  assert.deepEqual(restarts, [0, 1, 2]);
  const last = afterDeath(spec, "b", true, restarts, 3);
  assert.equal(last.verdict, "escalate");
  assert.match(last.verdict === "escalate" ? last.reason : "", /top .*3 times in 1000 ms/);
});

Deno.test("restarts that are a whole period ago are forgotten", () => {
  const verdict = afterDeath(supervisor("one_for_one"), "a", true, [0, 1, 2], 1001);
  assert.equal(verdict.verdict, "restart");
  assert.deepEqual(verdict.verdict === "restart" ? verdict.restarts : [], [2, 1001]);
});

Deno.test("a dead supervisor is restarted as one child among others", () => {
  const below = { ...supervisor("one_for_one"), id: "below" };
  assert.deepEqual(
    restarted(supervisor("rest_for_one", [worker("a"), below, worker("c")]), "below"),
    [
      "below",
      "c",
    ],
  );
});

Deno.test("the death of the store ends the kernel, and that of a performer takes nobody else along", () => {
  assert.equal(afterDeath(root, "store", true, [], 0).verdict, "escalate");
  const performers = root.children.find(({ id }) => id === "performers") as SupervisorSpec;
  assert.deepEqual(restarted(performers, "files"), ["files"]);
  assert.deepEqual(restarted(performers, "gateway"), ["gateway"]);
});
