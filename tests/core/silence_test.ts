/** When silence is held against somebody: what he could have done decides, not the time alone. */
import assert from "node:assert/strict";
import { CELL_LOOK_LATE_MS } from "../../runtime/core/limits.ts";
import {
  JUST_HEARD,
  type LookedAt,
  silenceAfter,
  type SilenceBounds,
} from "../../runtime/core/silence.ts";

const BOUNDS: SilenceBounds = { silent_ms: 2_000, cpu_ms: 500 };

type Used = readonly [cpu_ms: number, waited_ms: number, among?: number] | null;

/** Half a second without a word. */
function silent(used: Used, differing: Partial<LookedAt> = {}): LookedAt {
  const seen = used && { cpu_ms: used[0], waited_ms: used[1], among: used[2] ?? 1 };
  return { heard: false, passed_ms: 500, late_ms: 0, used: seen, ...differing };
}

const times = (count: number, look: LookedAt) => Array.from({ length: count }, () => look);

/** The first verdict of these looks, and at which of them it fell. */
function judged(looks: readonly LookedAt[]): string {
  let unheard = JUST_HEARD;
  for (const [index, look] of looks.entries()) {
    const { state, verdict } = silenceAfter(unheard, look, BOUNDS);
    if (verdict !== "none") return `${verdict} at look ${index + 1}`;
    unheard = state;
  }
  return "none";
}

const QUIET = silent([0, 0]);
const SPINNING = silent([500, 0]);
const STARVED = silent([1, 450]);
const SLOW = silent([60, 20]);
const LATE = { late_ms: CELL_LOOK_LATE_MS + 1, passed_ms: 60_000 };

for (
  const [who, looks, verdict] of [
    ["sleeps", times(10, QUIET), "rests at look 4"],
    ["has a whole core", times(10, SPINNING), "spins at look 4"],
    ["answers now and then", [...times(3, SPINNING), silent([500, 0], { heard: true })], "none"],
    ["waits for a core that others have", times(400, STARVED), "none"],
    ["gets a small share of a core and has not had enough of it", times(8, SLOW), "none"],
    [
      "gets a small share of a core until it has had enough of it",
      times(20, SLOW),
      "spins at look 9",
    ],
    [
      "wakes up among others and waits a little each time",
      times(10, silent([1, 20])),
      "rests at look 4",
    ],
    [
      "did some work before it fell asleep",
      [silent([150, 0]), ...times(10, QUIET)],
      "rests at look 5",
    ],
    [
      "sleeps beside neighbours that work",
      times(20, silent([50, 0])),
      "spins at look 10",
    ],
    [
      "is one of many that are being started, and then of few",
      [...times(3, silent([480, 0, 16])), silent([480, 0, 3])],
      "none",
    ],
    ["spins among others that want as much", times(40, silent([480, 0, 16])), "spins at look 17"],
    [
      "was starved before it sleeps",
      [...times(20, STARVED), ...times(10, QUIET)],
      "rests at look 24",
    ],
    ["cannot be looked into", times(10, silent(null)), "rests at look 4"],
    [
      "is silent only as far as the kernel was away",
      [...times(3, SPINNING), silent([500, 0], LATE), silent([500, 0], { heard: true })],
      "none",
    ],
    [
      "is silent before and after the kernel was away",
      [...times(3, SPINNING), silent([500, 0], LATE), SPINNING],
      "spins at look 5",
    ],
    ["is looked at by a kernel that is always late", times(100, silent([500, 0], LATE)), "none"],
  ] as [string, LookedAt[], string][]
) {
  Deno.test(`who ${who}: ${verdict}`, () => assert.equal(judged(looks), verdict));
}

Deno.test("a word takes back everything that was counted", () => {
  const { state } = silenceAfter(JUST_HEARD, SPINNING, BOUNDS);
  assert.deepEqual(state, { silent_ms: 500, cpu_ms: 500, rested_ms: 0 });
  assert.deepEqual(silenceAfter(state, { ...SPINNING, heard: true }, BOUNDS), {
    state: JUST_HEARD,
    verdict: "none",
  });
});
