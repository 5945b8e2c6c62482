/** When a launcher takes its kernel for dead. */
import assert from "node:assert/strict";
import { NEWBORN, type Pulse, pulseAfter, type PulseEvent } from "../../runtime/core/pulse.ts";

const SILENCE = { starting_ms: 300_000, serving_ms: 20_000 };
const LOOK_MS = 2_000;
const look = (passed_ms = 1_000): PulseEvent => ({ type: "look", passed_ms });
const [BEAT, READY] = [{ type: "beat" }, { type: "ready" }] as const;

function after(events: readonly PulseEvent[]): { pulse: Pulse; kills: number } {
  let [pulse, kills] = [NEWBORN, 0];
  for (const event of events) {
    const { state, actions } = pulseAfter(pulse, event, SILENCE, LOOK_MS);
    pulse = state;
    kills += actions.length;
  }
  return { pulse, kills };
}

Deno.test("a kernel that serves and is silent for twenty looks of a second is killed, once", () => {
  const looks = (times: number) => Array(times).fill(look());
  assert.equal(after([READY, ...looks(19)]).kills, 0);
  assert.equal(after([READY, ...looks(20)]).kills, 1);
  assert.deepEqual(after([READY, ...looks(40)]), {
    pulse: { phase: "hung", silent_ms: 20_000 },
    kills: 1,
  });
});

Deno.test("a kernel that beats is left alone, however long it lives", () => {
  const minute = Array.from({ length: 60 }, () => [look(), BEAT]).flat();
  assert.equal(after([READY, ...minute, ...minute]).kills, 0);
});

Deno.test("a kernel that is still starting may be silent for much longer", () => {
  assert.equal(after(Array(299).fill(look())).kills, 0);
  assert.equal(after(Array(300).fill(look())).kills, 1);
});

Deno.test("a launcher that slept for an hour kills nobody: it heard nothing because it did not listen", () => {
  assert.equal(after([READY, look(3_600_000), BEAT, look()]).kills, 0);
});

Deno.test("a beat from a kernel that was killed calls nothing off", () => {
  const { pulse, kills } = after([READY, ...Array(20).fill(look()), BEAT, READY]);
  assert.deepEqual([pulse.phase, kills], ["hung", 1]);
});
