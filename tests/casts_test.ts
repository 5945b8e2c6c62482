/** A cast says what the compiler cannot know: each has its reason beside it. */
import assert from "node:assert/strict";
import { readSources, withoutComments, withoutStrings } from "./support/sources.ts";

Deno.test("every cast has its reason above it, with no empty line between", async () => {
  const bare = (await readSources()).flatMap(({ file, text }) =>
    bareCasts(text).map((line) => `${file}:${line}`)
  );
  assert.deepEqual(bare, []);
});

Deno.test("a cast without a reason is seen, and neither a name nor a text that reads like one", () => {
  const text = [
    "/** Says why. */",
    "const known = one as Known;",
    "",
    'import { one as other } from "x";',
    'export * as all from "x";',
    "const closed = { one: 1 } as const;",
    'const text = "as Text"; // as Said',
    "",
    "const bare = one as Known;",
    "return one as",
    "  | Known;",
  ].join("\n");
  assert.deepEqual(bareCasts(text), [9, 10]);
});

/** Lines of casts that stand in a paragraph without a comment before them. */
function bareCasts(text: string): number[] {
  const code = withoutStrings(withoutComments(text))
    .replace(/\b(?:import|export)\b\s*(?:type\s*)?(?:\{[^}]*\}|\*[^;]*)/g, blank).split("\n");
  const lines = text.split("\n");
  return code.flatMap((line, at) => {
    if (!/(?<![\w$."])as(?:\s+(?!const\b)[A-Za-z{([]|$)/.test(line)) return [];
    const head = lines.slice(0, at).lastIndexOf("") + 1;
    // What the line says behind its code is a reason, too.
    const said = lines.slice(head, at + 1).some((each) => /\/\/|\/\*|^\s*\*/.test(each));
    return said ? [] : [at + 1];
  });
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, " ");
}
