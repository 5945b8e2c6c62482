/** Waits for conditions, never for a time: a test that waits says what it waits for. */

/** Between two looks at a condition. */
const LOOK_MS = 20;

/**
 * Resolves with the first value of `look` that is neither null, undefined nor false.
 * @param what the condition in words, for the error
 * @throws {Error} when it did not come true within `deadline_ms`
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  deadline_ms = 30_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + deadline_ms;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) {
      return found as NonNullable<Exclude<T, false>>;
    }
    if (performance.now() > end) throw new Error(`${deadline_ms} ms went by without ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
