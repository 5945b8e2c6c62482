/** Tools that will not stop. */
import assert from "node:assert/strict";
import { arena } from "./harness.ts";

const CASES: Record<string, string> = {
  "a busy loop": `export default () => { for (;;); }`,
  "a loop of microtasks": `export default async () => { for (;;) await null; }`,
};

for (const [what, source] of Object.entries(CASES)) {
  Deno.test(`a tool with ${what} is ended at its deadline`, async () => {
    await using field = await arena();
    const outcome = await field.attack(source);
    assert.ok(!outcome.ok && /did not answer/.test(outcome.error), JSON.stringify(outcome));
  });
}
