/** Tools that take all the memory they can get, in their process or in their result. */
import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { TOOL_LIMITS } from "../../runtime/core/limits.ts";
import { FRAME_BYTES_MAX } from "../../runtime/core/limits.ts";
import type { ToolOutcome } from "../../runtime/ports.ts";
import { longTest, rows } from "../support/long.ts";
import { slowness } from "../support/machine.ts";
import { type Arena, arena, toolProcesses } from "./harness.ts";

let field: Arena;
Deno.test.beforeAll(async () => {
  field = await arena();
});
Deno.test.afterAll(async () => {
  await field[Symbol.asyncDispose]();
});

const KIB = 1024;
/** Between two looks at the memory of the tools. */
const LOOK_MS = 50;
/** What a tool cell has resident beside its data: Deno's own program, which all of them share. */
const PROGRAM_KIB = 256 * KIB;

/** The process died, or its engine refused in time. The deadline is not what ended it. */
const ENDED =
  /^(The tool's process ended before it answered: .*|Array buffer allocation failed|WebAssembly\.Memory\.grow\(\): Unable to grow instance memory|scrypt key derivation failed)$/;
/** Without limits, any of them would have far more than its share by then, on a machine with nothing else to do. */
const GROW_MS = 10_000;

/** Growth without end: the limit on the process's memory ends it, and no memory beyond it is taken. */
const GROWTH: Record<string, string> = {
  "a heap that grows": `
    export default () => { const all = []; for (;;) all.push(Array(1000).fill(all.length)); }`,
  "a list that doubles": `
    export default () => { let all = [0.5]; for (;;) all = all.concat(all); }`,
  "long texts": `
    export default () => {
      const all = [];
      for (;;) all.push(new Array(200).fill(String(all.length).repeat(100_000)).join("-"));
    }`,
  "10 GB in buffers": `
    export default () =>
      Array.from({ length: 160 }, () => new Uint8Array(64 * 2 ** 20).fill(1)).length`,
  "10 GB in shared buffers": `
    export default () =>
      Array.from({ length: 160 }, () => new Uint8Array(new SharedArrayBuffer(64 * 2 ** 20)).fill(1))
        .length`,
  "WebAssembly memories that grow": `
    export default () => {
      let bytes = 0;
      const all = [];
      for (;;) {
        const memory = new WebAssembly.Memory({ initial: 0, maximum: 65536 });
        all.push(memory);
        for (let left = 16; left > 0; left--) {
          const from = memory.buffer.byteLength;
          memory.grow(256);
          new Uint8Array(memory.buffer, from).fill(1);
          bytes += 256 * 65536;
          if (bytes > 10 * 2 ** 30) return bytes;
        }
      }
    }`,
  "a native job that needs 1 GiB": `
    export default async () => {
      const { scryptSync } = await import("node:crypto");
      return scryptSync("password", "salt", 64, { N: 2 ** 20, r: 8, maxmem: 2 ** 40 }).length;
    }`,
};

for (const [what, source] of rows(Object.entries(GROWTH))) {
  Deno.test(`a tool with ${what} is ended within its memory`, async () => {
    const outcome = await weighed(source);
    assert.ok(!outcome.ok, JSON.stringify(outcome));
    assert.match(outcome.error, ENDED);
  });
}

longTest("a tool that unpacks 10 GB into memory is ended within its memory", async () => {
  const outcome = await weighed(
    `export default async ({ block }) => {
      const bytes = Uint8Array.from(atob(block), (letter) => letter.charCodeAt(0));
      const packed = new Blob(Array(640).fill(bytes)).stream();
      const plain = packed.pipeThrough(new DecompressionStream("deflate-raw"));
      return (await new Response(plain).arrayBuffer()).byteLength;
    }`,
    { block: bombBlock() },
  );
  assert.ok(!outcome.ok, JSON.stringify(outcome));
  assert.match(outcome.error, ENDED);
});

longTest("a tool that starts 300 workers is ended within its memory", async () => {
  const outcome = await weighed(`
    export default async () => {
      const idle = "data:application/javascript,postMessage(1);setInterval(() => {}, 1000)";
      const ready = [];
      for (let left = 300; left > 0; left--) {
        const worker = new Worker(idle, { type: "module" });
        ready.push(new Promise((resolve) => worker.onmessage = resolve));
      }
      await Promise.all(ready);
      return ready.length;
    }`);
  assert.ok(!outcome.ok, JSON.stringify(outcome));
  assert.match(outcome.error, ENDED);
});

/** What the tool itself hears of as an error, and could go on after. */
const TOLD: Record<string, [source: string, error: RegExp]> = {
  "recurses without end": [
    `const deeper = (level) => deeper(level + 1) + 1; export default () => deeper(0)`,
    /^Maximum call stack size exceeded$/,
  ],
  "makes a text of 1 GiB": [
    `export default () => "x".repeat(2 ** 30)`,
    /^Invalid string length$/,
  ],
  "answers with 1 GiB of texts": [
    `const part = "x".repeat(2 ** 26); export default () => Array(16).fill(part)`,
    /^(Invalid string length|The tool's process ended before it answered: .*)$/,
  ],
  "answers with a text that is over the limit of a frame": [
    `export default () => "x".repeat(${FRAME_BYTES_MAX})`,
    /^A frame of \d+ bytes is over the limit of \d+$/,
  ],
  "answers with an object of a million levels": [
    `export default () => {
      let value = {};
      for (let left = 1e6; left > 0; left--) value = { value };
      return value;
    }`,
    /^A frame of \d+ bytes is over the limit of \d+$/,
  ],
  "answers with an object that holds itself": [
    `export default () => { const value = {}; value.value = value; return value; }`,
    /circular/,
  ],
};

for (const [what, [source, error]] of rows(Object.entries(TOLD))) {
  Deno.test(`a tool that ${what} ends with an error`, async () => {
    const outcome = await weighed(source);
    assert.ok(!outcome.ok);
    assert.match(outcome.error, error);
  });
}

Deno.test("a tool that fakes a report of 500000 levels does no harm", async () => {
  const fake = `'{"ok":true,"value":' + "[".repeat(500_000) + "]".repeat(500_000) + "}"`;
  // The kernel reads it once; how long that takes is the machine's, and no more than that is lost.
  const report = '{"ok":true,"value":' + "[".repeat(500_000) + "]".repeat(500_000) + "}";
  let reading_ms = 0;
  for (let look = 0; look < 3; look++) {
    const began = performance.now();
    JSON.parse(report);
    reading_ms = Math.max(reading_ms, performance.now() - began);
  }
  const outcome = await weighed(
    `export default () => { JSON.stringify = () => ${fake}; return 1; }`,
    {},
    reading_ms,
  );
  assert.ok(outcome.ok);
  // It is what anybody may answer, and the kernel can write it down.
  assert.equal(JSON.stringify(outcome.value).length, 1_000_000);
});

/** Attacks, and asserts that the tool's processes never had more memory than they are allowed. */
async function weighed(
  source: string,
  input: unknown = {},
  reading_ms = 0,
): Promise<ToolOutcome> {
  let peak_kib = 0;
  let over = false;
  const weighing = (async () => {
    while (!over) {
      peak_kib = Math.max(
        peak_kib,
        ...(await toolProcesses(field.folder)).map(({ rss_kib }) => rss_kib),
      );
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  })();
  let outcome: ToolOutcome;
  try {
    outcome = await field.attack(source, { input, deadline_ms: GROW_MS * slowness(), reading_ms });
  } finally {
    over = true;
    await weighing;
  }
  assert.ok(peak_kib > 0, "the tool's process was never seen");
  assert.ok(
    peak_kib <= TOOL_LIMITS.memory_bytes / 1024 + PROGRAM_KIB,
    `the tool had ${peak_kib} KiB`,
  );
  return outcome;
}

/** 16 MiB of zeros, packed so that any number of them one after the other is valid. */
function bombBlock(): string {
  // 3 is Z_FULL_FLUSH: the block ends at a whole byte and is not the last one.
  return deflateRawSync(new Uint8Array(16 * 2 ** 20), { finishFlush: 3 }).toString("base64");
}
