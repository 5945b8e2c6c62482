import assert from "node:assert/strict";
import { Events } from "../../runtime/passing/events.ts";

Deno.test("a commit is told to the watchers of its tree and of all trees, and to no others", () => {
  const events = new Events();
  const told: string[] = [];
  for (const topic of ["a", "b", "*"]) events.subscribe(topic, () => told.push(topic));
  events.publish("a");
  assert.deepEqual(told, ["a", "*"]);
});

Deno.test("a watcher that called off is told nothing more", () => {
  const events = new Events();
  events.subscribe("a", () => assert.fail("told"))();
  events.publish("a");
});

Deno.test("calling off a second time does not call off who subscribed meanwhile", () => {
  const events = new Events();
  const callOff = events.subscribe("a", () => {});
  callOff();
  let told = 0;
  events.subscribe("a", () => told++);
  callOff();
  events.publish("a");
  assert.equal(told, 1);
});
