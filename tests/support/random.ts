/** Chance that can be repeated: a failing run prints its seed, and the seed brings it back. */

/**
 * A small generator of numbers from 0 up to 1, without 1. Source: Tommy Ettinger's mulberry32.
 * @param seed 32 bits of it count
 */
export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
