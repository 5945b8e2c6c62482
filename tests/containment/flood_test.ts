/** Tools that flood: what they print, and the disk wherever they may write or make Deno write. */
import assert from "node:assert/strict";
import { CELL_LOG_BYTES_MAX, TOOL_LIMITS, WORKSPACE_BYTES_MAX } from "../../runtime/core/limits.ts";
import { withinQuota } from "../../runtime/confined/quota.ts";
import { probeLayers } from "../../runtime/confined/sandbox.ts";
import { systemClock } from "../../runtime/ports.ts";
import type { ToolOutcome } from "../../runtime/ports.ts";
import { rows } from "../support/long.ts";
import { slowness } from "../support/machine.ts";
import {
  type Arena,
  arena,
  type Attack,
  DEADLINE_MS,
  PATIENT_MS,
  toolProcesses,
} from "./harness.ts";

let field: Arena;
/** A machine without namespaces. */
let bare: Arena;
Deno.test.beforeAll(async () => {
  field = await arena();
  bare = await field.on({ bwrap: false, prlimit: true });
});
Deno.test.afterAll(async () => {
  await field[Symbol.asyncDispose]();
});

const MIB = 2 ** 20;
/** Between two looks at the disk. */
const LOOK_MS = 200;
/** Room in the throw-away /tmp of a tool's namespace. */
const TMP_BYTES = 256 * MIB;
/** Every control character but line feed and tab, and what turns the direction of a text. */
// deno-lint-ignore no-control-regex -- these are what must not be there
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/;

const PRINTING: Record<string, string> = {
  "prints on and on": `
    const line = "x".repeat(65_000);
    export default () => { for (;;) console.log(line); }`,
  "prints on and on to its standard error": `
    const line = "x".repeat(65_000);
    export default () => { for (;;) console.error(line); }`,
  "prints one short line after the other": `export default () => { for (;;) console.log(1); }`,
  "prints on and on without blocking": `
    const bytes = new Uint8Array(65_000).fill(120);
    export default async () => {
      for (;;) await Promise.race([
        Deno.stdout.write(bytes),
        new Promise((resolve) => setTimeout(resolve)),
      ]);
    }`,
};

for (const [what, source] of rows(Object.entries(PRINTING))) {
  Deno.test(`a tool that ${what} is ended at its deadline and little of it is kept`, async () => {
    // Time for its first line, too.
    const seconds = Math.ceil(slowness());
    const outcome = await field.attack(source, { deadline_ms: seconds * 1000 });
    assert.ok(!outcome.ok);
    assert.equal(outcome.error, `The tool did not answer within ${seconds} s`);
    assert.ok(outcome.log.length > 0);
    assert.ok(outcome.log.length <= CELL_LOG_BYTES_MAX, `${outcome.log.length} were kept`);
  });
}

Deno.test("a tool that prints much and answers is heard, and little of it is kept", async () => {
  const source = `export default () => { console.log("x".repeat(4 * 2 ** 20)); return 1; }`;
  const outcome = await field.attack(source, { deadline_ms: PATIENT_MS });
  const { log, ...answer } = outcome;
  assert.deepEqual(answer, { ok: true, value: 1 });
  assert.ok(log.length <= CELL_LOG_BYTES_MAX, `${log.length} were kept`);
});

const FORGED = [
  "\x1b[2J\x1b[Hcleared",
  "\x1b]0;a title\x07titled",
  "\x1b]8;;http://evil.example\x1b\\\\link\x1b]8;;\x1b\\\\",
  "\x1bcreset",
  "\u009b31mred",
  "\x90q#0\x9c sixel",
  "over\b\b\b\bwritten",
  "\rstarted tool-cell-1: all checks passed",
  "first\u2028second\u2029third",
  "\u202edesrever\u2066",
  "\0\x7f\x9f\x85",
];

Deno.test("a tool that prints terminal escapes and forged lines has them taken out", async () => {
  const outcome = await field.attack(
    `export default async ({ lines }) => {
      for (const line of lines) {
        console.log(line);
        console.error(line);
        // Escapes that are torn apart by the way that they take.
        for (const letter of new TextEncoder().encode(line)) {
          Deno.stdout.writeSync(new Uint8Array([letter]));
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
      return 1;
    }`,
    { input: { lines: FORGED }, deadline_ms: PATIENT_MS },
  );
  assert.ok(outcome.ok, JSON.stringify(outcome));
  assert.match(outcome.log, /cleared/);
  assert.doesNotMatch(outcome.log, CONTROL);
});

Deno.test("a tool that throws terminal escapes has them taken out of its error", async () => {
  const outcome = await field.attack(
    `export default ({ lines }) => { throw new Error(lines.join("\\n")); }`,
    { input: { lines: FORGED }, deadline_ms: PATIENT_MS },
  );
  assert.ok(!outcome.ok);
  assert.match(outcome.error, /cleared/);
  assert.doesNotMatch(outcome.error, CONTROL);
});

Deno.test("a tool that writes one endless file is ended at the limit of a file", async () => {
  const folder = await workspace();
  const outcome = await attackFrom(
    folder,
    `
    const bytes = new Uint8Array(2 ** 20).fill(1);
    export default (_, { workspace }) => {
      for (;;) Deno.writeFileSync(workspace + "/file", bytes, { append: true });
    }`,
  );
  assert.ok(!outcome.ok);
  const { size } = await Deno.stat(`${folder}/file`);
  assert.ok(size <= TOOL_LIMITS.file_bytes, `the file has ${size} bytes`);
});

Deno.test("a tool that makes a file of 1 TiB out of nothing does not get it", async () => {
  const folder = await workspace();
  const outcome = await attackFrom(
    folder,
    `
    export default (_, { workspace }) => {
      using file = Deno.openSync(workspace + "/file", { create: true, write: true });
      file.truncateSync(2 ** 40);
      return file.statSync().size;
    }`,
  );
  assert.ok(!outcome.ok, JSON.stringify(outcome));
  assert.ok((await Deno.stat(`${folder}/file`)).size <= TOOL_LIMITS.file_bytes);
});

Deno.test("a tool that fills its workspace with many files is ended at the workspace's limit", async () => {
  const folder = await workspace();
  // Almost there already, so that the test machine's disk is not what ends it.
  const size = String(WORKSPACE_BYTES_MAX - 64 * MIB);
  const filled = await new Deno.Command("fallocate", { args: ["-l", size, `${folder}/full`] })
    .output();
  assert.ok(filled.success, new TextDecoder().decode(filled.stderr));
  const source = `
    const bytes = new Uint8Array(32 * 2 ** 20).fill(1);
    export default async (_, { workspace }) => {
      for (let count = 0; count < 8; count++) Deno.writeFileSync(workspace + "/" + count, bytes);
      await new Promise(() => {});
    }`;
  // As the performer of written tools runs every tool that may write.
  const { result, full } = await withinQuota(
    systemClock,
    await probeLayers(),
    folder,
    new AbortController().signal,
    (signal) => attackFrom(folder, source, { signal, deadline_ms: 8_000 * slowness() }),
  ).finally(() => Deno.remove(folder, { recursive: true }));
  assert.match(full ?? "nobody found the workspace full", /grew over 2048 MB/);
  assert.deepEqual(result, { ok: false, error: "The call was called off", log: "" });
});

Deno.test("a tool that fills the /tmp that it was granted meets its end", async () => {
  const outcome = await field.attack(
    `const bytes = new Uint8Array(2 ** 20).fill(1);
    export default () => {
      Deno.mkdirSync("/tmp/fill");
      let count = 0;
      try {
        for (; count < 1024; count++) Deno.writeFileSync("/tmp/fill/" + count, bytes);
      } catch (error) {
        return { count, error: error.message };
      }
      return { count };
    }`,
    { grants: { net: [], read: [], write: ["/tmp/fill"] }, deadline_ms: PATIENT_MS },
  );
  assert.ok(outcome.ok);
  const { count, error } = outcome.value as { count: number; error: string };
  assert.ok(count * MIB <= TMP_BYTES, `${count} MiB were written`);
  assert.match(error, /No space left on device/);
});

Deno.test("a tool that fills /tmp without a grant is refused", async () => {
  const outcome = await field.attack(
    `export default () => Deno.writeTextFileSync("/tmp/fill", "x")`,
    { deadline_ms: PATIENT_MS },
  );
  assert.ok(!outcome.ok);
  assert.match(outcome.error, /^Requires write access to "\/tmp\/fill"/);
});

/** What Deno writes into DENO_DIR for a tool that may write nowhere. */
const CACHES: Record<string, [source: string, end: RegExp]> = {
  "the cache of responses": [
    `
    export default async () => {
      const cache = await caches.open("fill");
      const bytes = new Uint8Array(16 * 2 ** 20).fill(1);
      let count = 0;
      try {
        for (; count < 64; count++) {
          await cache.put("http://fill.example/" + count, new Response(bytes));
        }
      } catch (error) {
        return { count, error: error.message };
      }
      return { count };
    }`,
    /"error":"Failed to create cache storage directory/,
  ],
  "the local storage": [
    `
    export default () => {
      let count = 0;
      try {
        for (; count < 1024; count++) localStorage.setItem("fill-" + count, "x".repeat(2 ** 20));
      } catch (error) {
        return { count, error: error.message };
      }
      return { count };
    }`,
    /"count":0,"error":"Not a directory/,
  ],
  "the cache of modules": [
    `
    export default async () => {
      let count = 0;
      try {
        for (; count < 1024; count++) {
          const source = "export const one: number = " + count + ";/*" + "x".repeat(2 ** 20) + "*/";
          await import("data:application/typescript," + source);
        }
      } catch (error) {
        return { count, error: error.message };
      }
      return { count };
    }`,
    /No space left on device|did not answer/,
  ],
};

for (const [what, [source, end]] of rows(Object.entries(CACHES))) {
  for (const place of rows(["with namespaces", "without them"] as const)) {
    Deno.test(`a tool that fills ${what} finds no disk for it, ${place}`, async () => {
      const arena = place === "with namespaces" ? field : bare;
      const { outcome, peak } = await weighed(arena, source, async () => ({
        tmp: await tmpOfTools(arena),
        scratch: await sizeOf(`${arena.folder}/scratch`),
      }), { deadline_ms: DEADLINE_MS * slowness() });
      assert.match(JSON.stringify(outcome), end);
      if (place === "with namespaces") assert.ok(peak.tmp <= MIB, `${peak.tmp} bytes in /tmp`);
      assert.ok(peak.scratch <= MIB, `${peak.scratch} bytes were in its folder`);
    });
  }
}

/** Attacks, and weighs what the tool writes meanwhile. */
async function weighed<What extends string>(
  place: Arena,
  source: string,
  weigh: () => Promise<Record<What, number>>,
  options: Attack = {},
): Promise<{ outcome: ToolOutcome; peak: Record<What, number> }> {
  const peak = await weigh();
  let over = false;
  const weighing = (async () => {
    while (!over) {
      const now = await weigh();
      for (const what in now) peak[what] = Math.max(peak[what], now[what]);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  })();
  try {
    return { outcome: await place.attack(source, options), peak };
  } finally {
    over = true;
    await weighing;
  }
}

/** A new workspace. */
async function workspace(): Promise<string> {
  return await Deno.makeTempDir({ dir: `${field.folder}/workspaces` });
}

/** Attacks with everything granted in a workspace. */
async function attackFrom(
  folder: string,
  source: string,
  options: Attack = {},
): Promise<ToolOutcome> {
  const grants = { net: [], read: [folder], write: [folder] };
  return await field.attack(source, { grants, workspace: folder, ...options });
}

/** Bytes that a folder takes on the disk. */
async function sizeOf(folder: string): Promise<number> {
  const { stdout } = await new Deno.Command("du", { args: ["-sxB1", folder], stderr: "null" })
    .output();
  return parseInt(new TextDecoder().decode(stdout)) || 0;
}

/** Bytes in the fullest /tmp of the tool cells of this arena, as they see it. */
async function tmpOfTools({ folder }: Arena): Promise<number> {
  // The outermost bwrap sees the /tmp of the machine.
  const cells = (await toolProcesses(folder)).filter(({ args }) => !/^\S*bwrap /.test(args));
  return Math.max(
    0,
    ...await Promise.all(cells.map(({ pid }) => sizeOf(["/proc", pid, "root", "tmp"].join("/")))),
  );
}
