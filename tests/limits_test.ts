/** Bounds stand in one file, each with its reason. What is left elsewhere is a fact or a layout. */
import assert from "node:assert/strict";
import { readSources, withoutStrings } from "./support/sources.ts";

const LIMITS = "runtime/core/limits.ts";
const sources = await readSources();

/** Ways of setting a bound by a number on the spot; one digit is a shape more often than a bound. */
const ON_THE_SPOT: readonly [what: string, pattern: RegExp][] = [
  ["a schema's bound", /\.\s*(?:min|max|length)\(\s*\d[\d_]+\s*[,)]/],
  ["a text's cut", /\.\s*slice\(\s*0,\s*\d[\d_]{2,}\s*\)/],
  ["a wait", /\b(?:timeout|pause|after|delay)\([^()]*\b\d[\d_]+\b/],
  ["a timer's wait", /\bset(?:Timeout|Interval)\([^;]*?,\s*\d[\d_]+\s*\)/],
  ["a constant", /\bconst [A-Z][A-Z0-9_]*_(?:MAX|LEAST|MIN|SECONDS)\b[^=]*=\s*\d[\d_]+/],
];

Deno.test("no bound stands outside of the file of bounds", () => {
  const broken = sources.filter(({ file }) => file !== LIMITS).flatMap(({ file, code }) =>
    boundsIn(code).map((what) => `${file} has ${what}`)
  );
  assert.deepEqual(broken, []);
});

Deno.test("a bound that is set on the spot would be noticed", () => {
  for (
    const code of [
      "z.string().max(500)",
      "text.slice(0, 2_000)",
      "AbortSignal.timeout(2_000)",
      "setTimeout(() => again, 250)",
      "const ROWS_MAX = 500;",
    ]
  ) assert.equal(boundsIn(code).length, 1, code);
  assert.deepEqual(
    boundsIn("z.string().min(1).max(ROWS_MAX); Math.max(0, left); text.slice(0, 12)"),
    [],
  );
});

Deno.test("every bound has its reason above it", () => {
  const lines = sources.find(({ file }) => file === LIMITS)!.text.split("\n");
  const bounds = lines.flatMap((line, at) => /^export const/.test(line) ? [at] : []);
  assert.ok(bounds.length > 150, `found ${bounds.length} bounds`);
  // Of two that belong together the first one says it.
  const bare = bounds.filter((at) => !/\*\/$|^export const/.test(lines[at - 1]));
  assert.deepEqual(bare.map((at) => lines[at]), []);
});

function boundsIn(code: string): string[] {
  return ON_THE_SPOT.filter(([, pattern]) => pattern.test(withoutStrings(code))).map(([what]) =>
    what
  );
}
