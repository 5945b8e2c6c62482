/** Tools that die, or end themselves: each comes back as an error at once, never as a call that hangs. */
import assert from "node:assert/strict";
import { rows } from "../support/long.ts";
import { weighed } from "../support/machine.ts";
import { type Arena, arena } from "./harness.ts";

let field: Arena;
Deno.test.beforeAll(async () => {
  field = await arena();
});
Deno.test.afterAll(async () => {
  await field[Symbol.asyncDispose]();
});

/** Far above what any of them needs: who waits for the deadline is found out. */
const LONG_MS = 60_000;
const AT_ONCE_MS = 5_000;

const NEVER = "new Promise(() => {})";
const DIED = /^The tool's process ended before it answered: /;

/** Its module or its call goes wrong. */
const FAILS: Record<string, [source: string, error: RegExp]> = {
  "throws": [`export default () => { throw new Error("no"); }`, /^no$/],
  "throws while it is loaded": [`throw new Error("no"); export default () => 1;`, /^no$/],
  "throws a text": [`export default () => { throw "no"; }`, /^no$/],
  "throws nothing": [`export default () => { throw undefined; }`, /^undefined$/],
  "throws what cannot be read": [
    `export default () => { throw { toString() { throw 1; } }; }`,
    DIED,
  ],
  "throws an error whose message throws": [
    `export default () => {
      throw Object.defineProperty(new Error(), "message", { get() { throw 1; } });
    }`,
    DIED,
  ],
  "throws an error whose message is no text": [
    `export default () => { throw Object.assign(new Error(), { message: { no: 1 } }); }`,
    /^The tool's process sent something that is no report$/,
  ],
  "rejects": [`export default () => Promise.reject(new Error("no"))`, /^no$/],
  "is no module": [`export default (`, /Expression expected|Unexpected|expected/],
  "has nothing to call": [
    `export default 1;`,
    /^The module has no function as its default export$/,
  ],
};

/** Its process ends. */
const DIES: Record<string, [source: string, error: RegExp]> = {
  "leaves a rejection unhandled": [
    `export default () => { Promise.reject(new Error("no")); return ${NEVER}; }`,
    DIED,
  ],
  "throws in a timer": [
    `export default () => { setTimeout(() => { throw new Error("no"); }); return ${NEVER}; }`,
    DIED,
  ],
  "throws in a worker": [
    `export default () => {
      new Worker("data:application/javascript,throw new Error(1)", { type: "module" });
      return ${NEVER};
    }`,
    DIED,
  ],
  "exits": [`export default () => Deno.exit(0)`, DIED],
  "exits with a code": [`export default () => Deno.exit(3)`, DIED],
  "exits while it is loaded": [`Deno.exit(0); export default () => 1;`, DIED],
  "exits by node:process": [
    `export default async () => { (await import("node:process")).default.exit(0); }`,
    DIED,
  ],
  "aborts by node:process": [
    `export default async () => { (await import("node:process")).default.abort(); }`,
    DIED,
  ],
  "closes itself": [`export default () => { self.close(); return ${NEVER}; }`, DIED],
  "kills itself": [
    `export default () => { Deno.kill(Deno.pid, "SIGKILL"); return ${NEVER}; }`,
    DIED,
  ],
  "kills itself by node:process": [
    `export default async () => {
      const { default: process } = await import("node:process");
      process.kill(process.pid, "SIGKILL");
      await ${NEVER};
    }`,
    DIED,
  ],
};

/** It means to take others with it. */
const KILLS: Record<string, [source: string, error: RegExp]> = {
  "kills its parent": [
    `export default () => Deno.kill(Deno.ppid, "SIGKILL")`,
    /^Requires run access/,
  ],
  "kills its group": [`export default () => Deno.kill(0, "SIGKILL")`, /^Requires run access/],
  "kills the kernel": [
    `export default () => Deno.kill(${Deno.pid}, "SIGKILL")`,
    /^Requires run access/,
  ],
  "kills every process": [
    `export default async () => {
      const { default: process } = await import("node:process");
      process.kill(-1, "SIGKILL");
    }`,
    /^Requires run access/,
  ],
};

for (
  const [what, [source, error]] of [FAILS, DIES, KILLS].flatMap((all) => rows(Object.entries(all)))
) {
  Deno.test(`a tool that ${what} ends with an error at once`, async () => {
    const attack = field.attack(source, { deadline_ms: LONG_MS });
    const { result, took_ms } = await weighed(attack);
    assert.ok(!result.ok, JSON.stringify(result));
    assert.match(result.error, error);
    assert.ok(took_ms < AT_ONCE_MS, `it took ${took_ms} ms`);
  });
}

/** What a person needs to hear of an end that the tool itself did not speak of. */
const TOLD: Record<string, [source: string, told: RegExp]> = {
  "exits with a code": [`export default () => Deno.exit(3)`, /exit code 3/],
  "leaves a rejection unhandled": [
    `export default () => { Promise.reject(new Error("the reason")); return ${NEVER}; }`,
    /the reason/,
  ],
  "kills itself": [
    `export default () => { Deno.kill(Deno.pid, "SIGKILL"); return ${NEVER}; }`,
    /SIGKILL|exit code 137/,
  ],
  "prints and exits": [
    `export default () => { console.log("the last words"); Deno.exit(0); }`,
    /the last words/,
  ],
};

for (const [what, [source, told]] of rows(Object.entries(TOLD))) {
  Deno.test(`a tool that ${what} is told how it ended`, async () => {
    const outcome = await field.attack(source, { deadline_ms: LONG_MS });
    assert.ok(!outcome.ok, JSON.stringify(outcome));
    assert.match(`${outcome.error}\n${outcome.log}`, told);
  });
}

Deno.test("a tool that vanishes without a word is ended at its deadline", async () => {
  const outcome = await field.attack(`export default () => ${NEVER}`);
  assert.deepEqual(outcome, { ok: false, error: "The tool did not answer within 1 s", log: "" });
});
