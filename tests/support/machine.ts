/** What the machine gives at this moment, measured by work that a test does itself. */

/** About 5 ms of work where nobody else wants the core: long enough to be put aside by who does. */
const ROUNDS = 8;

/** What a round takes undisturbed, as far as it was seen. */
let quickest_ms = Infinity;

function round(): number {
  const began = performance.now();
  let noise = 1;
  for (let step = 0; step < 400_000; step++) {
    noise ^= noise << 13;
    noise ^= noise >>> 17;
    noise ^= noise << 5;
  }
  const took_ms = performance.now() - began + (noise === 0 ? 1 : 0);
  quickest_ms = Math.min(quickest_ms, took_ms);
  return took_ms;
}

// The first rounds are not compiled yet.
for (let left = 2 * ROUNDS; left > 0; left--) round();

/** How many times longer than alone everything takes just now: 1 or more. */
export function slowness(): number {
  let took_ms = 0;
  for (let left = ROUNDS; left > 0; left--) took_ms += round();
  return took_ms / (ROUNDS * quickest_ms);
}

/** An answer that is there sooner is not late on any machine, and is not weighed. */
const SOON_MS = 50;
const LOOK_MS = 5;

/** Waits for an answer; says how long it would have taken of a machine that has nothing else to do. */
export async function weighed<T>(
  answer: Promise<T>,
): Promise<{ readonly result: T; readonly took_ms: number }> {
  const began = performance.now();
  let ended = 0;
  const end = () => ended = performance.now();
  answer.then(end, end);
  const weights: number[] = [];
  for (let weighed_at = began; ended === 0;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (ended > 0 || performance.now() - weighed_at < SOON_MS) continue;
    weights.push(slowness());
    weighed_at = performance.now();
  }
  // The worst moment counts for all of them: who waits for several others in turn meets it.
  return { result: await answer, took_ms: (ended - began) / Math.max(1, ...weights) };
}
