/**
 * How tools end. One that dies, or ends itself, comes back as an error at once, never as a call that
 * hangs; one that will not stop is ended at its deadline, with all that it began.
 */
import assert from "node:assert/strict";
import { rows } from "../support/long.ts";
import { weighed } from "../support/machine.ts";
import { type Arena, arena, PATIENT_MS } from "./harness.ts";

let field: Arena;
/** A machine without limits on memory: a tool can have workers, for which it has no room otherwise. */
let roomy: Arena;
Deno.test.beforeAll(async () => {
  field = await arena();
  roomy = await field.on({ bwrap: true, prlimit: false });
});
Deno.test.afterAll(async () => {
  await field[Symbol.asyncDispose]();
});

const NEVER = "new Promise(() => {})";

/** Far above what any of them needs: who waits for the deadline is found out. */
const LONG_MS = 60_000;
const AT_ONCE_MS = 5_000;
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

/** A module with one function, `spin`, that is `loop br 0 end`. */
const WASM_LOOP = [
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x07, 0x08, 0x01, 0x04, 0x73, 0x70, 0x69, 0x6e, 0x00, 0x00],
  ...[0x0a, 0x09, 0x01, 0x07, 0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b],
];

const ENDED: Record<string, string> = {
  "a busy loop": `export default () => { for (;;); }`,
  "a busy loop at its top level": `for (;;); export default () => 1;`,
  "a chain of timers": `
    export default () => { const go = () => setTimeout(go, 0); go(); return ${NEVER}; }`,
  "a loop of microtasks": `export default async () => { for (;;) await null; }`,
  "a result that is never done": `export default () => ({ then() { for (;;); } })`,
  "a result that spins when it is written down": `
    export default () => ({ toJSON() { for (;;); } })`,
  "a regular expression that backtracks for ever": `
    export default () => /^(a+)+$/.test("a".repeat(60) + "!")`,
  "a loop in WebAssembly": `
    export default async () => {
      const { instance } = await WebAssembly.instantiate(new Uint8Array(${
    JSON.stringify(WASM_LOOP)
  }));
      instance.exports.spin();
    }`,
  "a wait for memory that nobody changes": `
    export default () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`,
  "a key derivation that blocks": `
    export default async () => {
      const { pbkdf2Sync } = await import("node:crypto");
      return pbkdf2Sync("password", "salt", 2 ** 31 - 1, 64, "sha512").length;
    }`,
  "64 key derivations in the background": `
    export default async () => {
      const { pbkdf2 } = await import("node:crypto");
      const one = () => new Promise((resolve) =>
        pbkdf2("password", "salt", 2 ** 31 - 1, 64, "sha512", resolve));
      await Promise.all(Array.from({ length: 64 }, one));
    }`,
  "300000 timers": `
    export default () => {
      for (let left = 300_000; left > 0; left--) setInterval(() => {}, left % 50);
      return ${NEVER};
    }`,
  "a lock that it steals from itself": `
    export default async () => {
      const held = navigator.locks.request("lock", () => ${NEVER}).catch(() => {});
      for (;;) {
        await Promise.race([
          navigator.locks.request("lock", { steal: true }, () => ${NEVER}).catch(() => {}),
          new Promise((resolve) => setTimeout(resolve, 1)),
        ]);
      }
      await held;
    }`,
  "deaf ears for signals": `
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGXCPU"]) {
      try { Deno.addSignalListener(signal, () => {}); } catch (error) { console.log(String(error)); }
    }
    export default () => { for (;;); }`,
};

for (const [what, source] of rows(Object.entries(ENDED))) {
  Deno.test(`a tool with ${what} is ended at its deadline`, async () => {
    const outcome = await field.attack(source);
    assert.ok(!outcome.ok, JSON.stringify(outcome));
    assert.equal(outcome.error, "The tool did not answer within 1 s");
    assert.equal(outcome.log, "");
  });
}

/** What needs more memory than a tool has, or has no end: whichever is found out first. */
const HUNGRY: Record<string, string> = {
  "a bomb that never ends to unpack": `
    export default async () => {
      const { deflateRawSync } = await import("node:zlib");
      // 3 is Z_FULL_FLUSH: any number of such blocks may follow one another.
      const block = deflateRawSync(new Uint8Array(2 ** 20), { finishFlush: 3 });
      const packed = new ReadableStream({ pull: (to) => to.enqueue(block) });
      for await (const _ of packed.pipeThrough(new DecompressionStream("deflate-raw")));
    }`,
  "busy workers below it": `
    export default () => {
      for (let left = 4; left > 0; left--) {
        new Worker("data:application/javascript,for(;;);", { type: "module" });
      }
      return ${NEVER};
    }`,
  "a busy worker below a worker": `
    const inner = "data:application/javascript,for(;;);";
    const outer = "new Worker(" + JSON.stringify(inner) + ", { type: 'module' }); for (;;);";
    export default () => {
      new Worker("data:application/javascript," + encodeURIComponent(outer), { type: "module" });
      return ${NEVER};
    }`,
};

for (const [what, source] of rows(Object.entries(HUNGRY))) {
  Deno.test(`a tool with ${what} is ended by its deadline or by the limit on its memory`, async () => {
    const outcome = await field.attack(source);
    assert.ok(!outcome.ok, JSON.stringify(outcome));
    assert.match(outcome.error, /^The tool('s process ended before it| did not) answer/);
  });

  Deno.test(`a tool with ${what} and memory for it is ended at its deadline`, async () => {
    const outcome = await roomy.attack(source);
    assert.deepEqual(outcome, {
      ok: false,
      error: "The tool did not answer within 1 s",
      log: "",
    });
  });
}

/** What a tool leaves at work behind its answer. */
const LEFT: Record<string, string> = {
  "64 key derivations in the background": `
    const { scrypt } = await import("node:crypto");
    for (let left = 64; left > 0; left--) scrypt("password", "salt", 64, { N: 2 ** 14, p: 64 }, () => {});`,
  "timers that spin": `setTimeout(() => { for (;;); }, 5);`,
};

for (const [what, source] of rows(Object.entries(LEFT))) {
  Deno.test(`a tool that answers and leaves ${what} is gone after its answer`, async () => {
    const outcome = await field.attack(`export default async () => { ${source}; return 1; }`, {
      deadline_ms: PATIENT_MS,
    });
    assert.deepEqual(outcome, { ok: true, value: 1, log: "" });
  });
}

Deno.test("a tool that answers and leaves workers that spin is gone after its answer", async () => {
  const outcome = await roomy.attack(
    `
    export default async () => {
      const busy = "data:application/javascript,postMessage(1);for(;;);";
      for (let left = 4; left > 0; left--) {
        const worker = new Worker(busy, { type: "module" });
        await new Promise((resolve) => worker.onmessage = resolve);
      }
      return 1;
    }`,
    { deadline_ms: PATIENT_MS },
  );
  assert.deepEqual(outcome, { ok: true, value: 1, log: "" });
});
