/** A supervisor that cannot carry out what it decided. */
import assert from "node:assert/strict";
import type { Child } from "../../runtime/ports.ts";
import { Supervisor } from "../../runtime/supervision/supervisor.ts";
import { HandClock } from "../support/clock.ts";

Deno.test("a supervisor whose child cannot be stopped for a restart dies of it, and is not silent", async () => {
  const died = Promise.withResolvers<string | null>();
  const starters = {
    dying: (): Promise<Child> => Promise.resolve({ gone: died.promise, stop: async () => {} }),
    stubborn: (): Promise<Child> =>
      Promise.resolve({
        gone: new Promise(() => {}),
        stop: () => Promise.reject(new Error("it would not go")),
      }),
  };
  const supervisor = new Supervisor(
    {
      type: "supervisor",
      id: "top",
      strategy: "one_for_all",
      intensity: { restarts_max: 3, period_ms: 60_000 },
      children: [
        { type: "worker", id: "one", kind: "dying", restart: "permanent" },
        { type: "worker", id: "two", kind: "stubborn", restart: "permanent" },
      ],
    },
    starters,
    new HandClock(),
    () => {},
  );
  await supervisor.start();
  died.resolve("it fell over");
  assert.match((await supervisor.gone)!, /could not deal with the death of one: it would not go/);
});
