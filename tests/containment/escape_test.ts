/** Tools that reach for what they were not granted: descriptors, files, code, rights, other processes. */
import assert from "node:assert/strict";
import type { ToolOutcome } from "../../runtime/ports.ts";
import { longTest, rows } from "../support/long.ts";
import { type Arena, arena, DEADLINE_MS, PATIENT_MS } from "./harness.ts";
import { assertRefused, NO_BWRAP, NO_LAYERS, outside, SECRET, tries } from "./outside.ts";

/** With all that this machine has, as on one without namespaces, and as on one with nothing at all. */
const whole = await arena({}, PATIENT_MS);
const bare = await whole.on(NO_BWRAP);
const alone = await whole.on(NO_LAYERS);
Deno.test.afterAll(async () => await whole[Symbol.asyncDispose]());

/** A case that must hold on either machine. */
function onBoth(name: string, run: (field: Arena) => Promise<void>): void {
  Deno.test(name, () => run(whole));
  longTest(`${name}, without namespaces`, () => run(bare));
}

/** Opens descriptors as sockets: one of them is the cell's own connection. */
const ADOPT = `
  import net from "node:net";
  import { Buffer } from "node:buffer";
  const head = (length, worker = 0) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(length, 0);
    bytes.writeUInt32BE(worker, 4);
    return bytes;
  };
  const frame = (body, worker) =>
    Buffer.concat([head(Buffer.byteLength(body), worker), Buffer.from(body)]);
  const heard = [];
  const on = async (descriptors, bytesFor) => {
    for (const fd of descriptors) {
      try {
        const socket = new net.Socket({ fd, readable: true, writable: true });
        socket.on("error", () => {});
        socket.on("data", (data) => heard.push(fd, String(data)));
        socket.resume();
        await new Promise((resolve) => {
          socket.write(bytesFor(fd), resolve);
          setTimeout(resolve, 20);
        });
      } catch {
        // No socket.
      }
    }
  };
`;

/** What writes over a descriptor that Deno itself needs ends by that: then it tries once more. */
async function adopting(field: Arena, source: string): Promise<ToolOutcome> {
  for (let left = 4;; left--) {
    const outcome = await field.attack(`${ADOPT}${source}`);
    const own_end = !outcome.ok && /ended before it answered: exit code 1$/.test(outcome.error);
    if (!own_end || left === 0) return outcome;
  }
}

/** Up to the connection, without what the runtime waits on: adopting that ends the tool by itself. */
const DESCRIPTORS = "Array.from({ length: 13 }, (_, fd) => fd + 9)";

onBoth("a tool that reads every descriptor as a socket hears nothing", async (field) => {
  const outcome = await field.attack(`${ADOPT}
    export default async () => {
      for (let fd = 0; fd < 64; fd++) {
        try {
          const socket = new net.Socket({ fd, readable: true, writable: false });
          socket.on("error", () => {});
          socket.on("data", (data) => heard.push(fd, String(data)));
          socket.resume();
        } catch {}
      }
      await new Promise((resolve) => setTimeout(resolve, 300));
      return heard;
    };`);
  assert.deepEqual(outcome, { ok: true, value: [], log: "" });
});

onBoth("a tool that reads every descriptor as a file finds nothing", async (field) => {
  const outcome = await field.attack(`
    import fs from "node:fs";
    import { Buffer } from "node:buffer";
    export default () => {
      const read = [];
      for (let fd = 0; fd < 64; fd++) {
        for (const at of [0, null]) {
          // Where there is nothing to read for ever, this ends at the deadline.
          if (at === null && fd > 0) continue;
          const into = Buffer.alloc(1000);
          try {
            if (fs.readSync(fd, into, 0, 1000, at) > 0) read.push(fd, String(into));
          } catch {}
        }
      }
      return read;
    };`);
  assert.deepEqual(outcome, { ok: true, value: [], log: "" });
});

onBoth("a tool that writes a report on every descriptor only reports for itself", async (field) => {
  const forged = JSON.stringify({ ok: true, value: "forged" });
  const [outcome, neighbour] = await Promise.all([
    field.attack(`${ADOPT}
      export default async () => {
        const all = Array.from({ length: 61 }, (_, fd) => fd + 3);
        await on(all, () => frame(${JSON.stringify(forged)}, 7));
        await new Promise((resolve) => setTimeout(resolve, 500));
      return "late";
      };`),
    field.tools.call({
      source: "export default () => new Promise((resolve) => setTimeout(resolve, 500, 'mine'));",
      input: {},
      grants: { net: [], read: [], write: [] },
      workspace: null,
    }, new AbortController().signal),
  ]);
  assert.ok(outcome.ok && outcome.value === "forged", say(outcome));
  assert.deepEqual(neighbour, { ok: true, value: "mine", log: "" });
  const next = await field.attack("export default () => 'clean'");
  assert.deepEqual(next, { ok: true, value: "clean", log: "" });
});

onBoth("a tool that sends a frame of 4 GiB is ended at its head", async (field) => {
  const outcome = await adopting(
    field,
    `
    export default async () => {
      await on(${DESCRIPTORS}, () => head(0xFFFFFFFF));
      await new Promise((resolve) => setTimeout(resolve, 500));
      return "late";
    };`,
  );
  assert.ok(!outcome.ok && /A frame of 4294967295 bytes is over/.test(outcome.error), say(outcome));
});

onBoth("a tool that sends half a frame is ended", async (field) => {
  const outcome = await field.attack(
    `${ADOPT}
    export default async () => {
      await on(${DESCRIPTORS}, () =>
        Buffer.concat([head(1000), Buffer.from("half")]));
      for (;;);
    };`,
    { deadline_ms: DEADLINE_MS },
  );
  // It may have written over a descriptor that Deno itself needs.
  const ended = /did not answer within|ended before it answered/;
  assert.ok(!outcome.ok && ended.test(outcome.error), say(outcome));
});

onBoth("a tool that sends half a frame and hangs up is ended", async (field) => {
  const outcome = await field.attack(`${ADOPT}
    export default async () => {
      await on(${DESCRIPTORS}, () =>
        Buffer.concat([head(1000), Buffer.from("half")]));
      await new Promise((resolve) => setTimeout(resolve, 100));
      Deno.exit(0);
    };`);
  assert.ok(!outcome.ok && /ended before it answered/.test(outcome.error), say(outcome));
});

onBoth("a tool that sends something else than a report fails", async (field) => {
  for (
    const body of rows(["[]", "{", '{"ok":true,"value":1,"more":1}', '{"t":"beat","workers":[]}'])
  ) {
    const outcome = await adopting(
      field,
      `
      export default async () => {
        await on(${DESCRIPTORS}, () => frame(${JSON.stringify(body)}));
        await new Promise((resolve) => setTimeout(resolve, 500));
      return "late";
      };`,
    );
    assert.ok(!outcome.ok && /something that is no report/.test(outcome.error), say(outcome));
  }
});

onBoth("a tool that reads standard input finds its end at once", async (field) => {
  const tried = await tries(field, {
    "Deno.stdin": `await Deno.stdin.read(new Uint8Array(10))`,
    "node:process": `await new Promise(async (resolve) => {
      const { stdin } = (await import("node:process")).default;
      stdin.on("end", () => resolve("end")).on("data", resolve).resume();
    })`,
    prompt: `prompt("Secret?")`,
    confirm: `confirm("Sure?")`,
  });
  assert.deepEqual(tried, {
    "Deno.stdin": { got: null },
    "node:process": { got: "end" },
    prompt: { got: null },
    confirm: { got: false },
  });
});

/** Sources that import the specifier in each way there is; `$` stands for how it is imported. */
const importing = (url: string, how = "") => {
  const data = (source: string) =>
    `import("data:text/javascript," + encodeURIComponent(${JSON.stringify(source)}))`;
  const statically = `import it from "${url}"${
    how && ` with { type: "${how}" }`
  }; export default it;`;
  const options = how && `, { with: { type: "${how}" } }`;
  return {
    [`${how} by a constant`]: `(await import("${url}"${options})).default`,
    [`${how} by a computed name`]: `(await import(["${url}"][0]${options})).default`,
    [`${how} in a data: module`]: `(await ${data(statically)}).default`,
    [`${how} in a blob: module`]: `(await import(URL.createObjectURL(
      new Blob([${JSON.stringify(statically)}], { type: "text/javascript" })))).default`,
    [`${how} in a module in a module`]: `(await ${
      data(`export default (await ${data(statically)}).default;`)
    }).default`,
  };
};

onBoth(
  "a tool cannot import a file outside, whatever its type and wherever the import stands",
  async (field) => {
    await using shop = await outside(field);
    const url = `file://${shop.folder}`;
    const raw = importing(`${url}/secret.txt`, "bytes");
    const tried = await tries(field, {
      ...importing(`${url}/secret.ts`),
      ...importing(`${url}/secret.json`, "json"),
      ...importing(`${url}/secret.txt`, "text"),
      ...raw,
    });
    const of = (bytes: boolean) =>
      Object.fromEntries(Object.entries(tried).filter(([way]) => way in raw === bytes));
    assertRefused(of(false), /^Requires read access/);
    // Deno 2.9 knows this type only where the flag for raw imports stands.
    assertRefused(
      of(true),
      /^Requires read access|"bytes" is (not a valid module type|unsupported)/,
    );
    await shop.assertUntouched();
  },
);

onBoth("a tool with a static import of a file outside does not load", async (field) => {
  await using shop = await outside(field);
  const url = `file://${shop.folder}`;
  const lines = [
    `import it from "${url}/secret.ts";`,
    `import it from "${url}/secret.json" with { type: "json" };`,
    `import it from "${url}/secret.txt" with { type: "text" };`,
    `import it from "${url}/secret.txt" with { type: "bytes" };`,
  ];
  for (
    const outcome of await field.attacks(lines.map((line) => `${line} export default () => it;`))
  ) {
    assert.ok(!outcome.ok, say(outcome));
    assert.match(outcome.error, /^Requires read access|"bytes" is unsupported/);
    assert.ok(!say(outcome).includes(SECRET));
  }
});

onBoth("a tool cannot import what is remote, cached nowhere or a package", async (field) => {
  await using shop = await outside(field);
  const ways = {
    ...importing(`${shop.url}/secret.ts`),
    npm: `import("npm:left-pad@1.3.0")`,
    jsr: `import("jsr:@std/path@1")`,
    https: `import("https://jsr.io/@std/path/meta.json", { with: { type: "json" } })`,
  };
  const off = /--no-remote is specified|--no-npm is specified|Requires import access/;
  assertRefused(await tries(field, ways), off);
  // A host that it may talk to is no host that it may load code from.
  const net = [new URL(shop.url).host];
  const grants = { net, read: [], write: [] };
  assertRefused(await tries(field, importing(`${shop.url}/secret.ts`), { grants }), off);
  await shop.assertUntouched();
});

onBoth("a tool cannot read the program's other code", async (field) => {
  const code = new URL("../../runtime/", import.meta.url).href;
  assertRefused(
    await tries(field, {
      ...importing(`${code}kernel.ts`, "text"),
      "by reading": `Deno.readTextFile(new URL("${code}kernel.ts"))`,
      "by listing": `Array.fromAsync(Deno.readDir(new URL("${code}")))`,
    }),
  );
});

for (
  const [what, line] of rows(Object.entries({
    "a package of npm": `import it from "npm:left-pad@1.3.0";`,
    "a package of jsr": `import * as it from "jsr:@std/path@1";`,
    "a module over http": `import it from "http://127.0.0.1:1/x.ts";`,
    "a module over https": `import it from "https://example.com/x.ts";`,
    "a file": `import it from "file:///etc/passwd" with { type: "text" };`,
    "a file beside it": `import it from "./other.ts";`,
    "a module of node": `import it from "node:fs";`,
    "a module in a data: URL": `import it from "data:text/javascript,export default 1";`,
    "a module by a constant name": `const it = await import("node:net");`,
    "only the types of a file": `import type it from "file:///etc/passwd";`,
    "what another module exports": `export * as it from "node:fs"; const it = 0;`,
  }))
) {
  Deno.test(`a tool that imports ${what} is refused when it is registered`, async () => {
    const specifier = /"([^"]+)"/.exec(line)![1];
    for (const field of [whole, bare]) {
      const said = await field.tools.check(
        `${line}\nexport default () => it;`,
        new AbortController().signal,
      );
      assert.equal(
        said,
        `A tool may import "troupe" (the tool kit) and nothing else, not: ${specifier}`,
      );
    }
  });
}

Deno.test("a tool that imports only the tool kit is registered", async () => {
  const source = `import { fail } from "troupe"; export default () => fail("no");`;
  assert.equal(await whole.tools.check(source, new AbortController().signal), null);
});

onBoth("a tool that asks for rights is denied at once, without a prompt", async (field) => {
  const began = performance.now();
  const kinds = ["read", "write", "net", "env", "run", "sys", "ffi"];
  const asking = (about: string) =>
    `(await Deno.permissions.request(${about})).state + " " +
      Deno.permissions.requestSync(${about}).state + " " +
      (await Deno.permissions.query(${about})).state`;
  const tried = await tries(
    field,
    Object.fromEntries(kinds.map((name) => [name, asking(`{ name: "${name}" }`)])),
  );
  // What is not granted could be asked for again, and would be denied again.
  for (const name of kinds) assert.deepEqual(tried[name], { got: "denied denied prompt" }, name);
  assert.ok(performance.now() - began < PATIENT_MS);
});

onBoth("a tool that asks for the right to import is denied", async (field) => {
  const tried = await tries(field, {
    asked: `(await Deno.permissions.request({ name: "import", host: "example.com" })).state`,
  });
  assert.deepEqual(tried, { asked: { got: "denied" } });
});

/** Says in a worker of its own what became of a way out of it. */
const inWorker = (source: string, options: string) => `
  export default ({ out }) => new Promise((resolve) => {
    const worker = new Worker("data:text/javascript," + encodeURIComponent(\`${source}\`), {
      type: "module", ${options} });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => { event.preventDefault(); resolve("error: " + event.message); };
  });`;

const READ = 'postMessage(Deno.readTextFileSync("${out}/secret.txt"));';
const WORKERS = {
  "of its own rights": inWorker(READ, ""),
  "with inherited rights": inWorker(READ, `deno: { permissions: "inherit" }`),
  "with more rights": inWorker(READ, `deno: { permissions: { read: true } }`),
  "that imports a file outside": inWorker(
    'import it from "${out}/secret.ts"; postMessage(it);'.replace("${out}", "file://${out}"),
    "",
  ),
  "of node": `
    import { Worker } from "node:worker_threads";
    export default ({ out }) => new Promise((resolve) => {
      const source = 'const { parentPort } = require("node:worker_threads");' +
        'parentPort.postMessage(require("node:fs").readFileSync("' + out + '/secret.txt", "utf8"))';
      new Worker(source, { eval: true }).on("message", resolve).on("error", (error) => resolve(
        "error: " + error.message));
    });`,
};

for (const [what, source] of rows(Object.entries(WORKERS))) {
  Deno.test(`a tool that starts a worker ${what} reaches no more than before`, async () => {
    // Alone first: there it is Deno's permissions that say no.
    for (const field of rows([alone, whole, bare])) {
      await using shop = await outside(field);
      const outcome = await field.attack(source, { input: { out: shop.folder } });
      const told = say(outcome);
      assert.ok(!told.includes(SECRET), told);
      assert.ok(
        // No room for one more heap, no such option without its flag, or no right to read.
        /out of memory|unstable-worker-options|Requires read access/.test(told),
        told,
      );
      await shop.assertUntouched();
    }
  });
}

onBoth("a tool that goes through node's modules has no other rights", async (field) => {
  await using shop = await outside(field);
  const { folder } = shop;
  const fs = `(await import("node:fs"))`;
  const node = `(await import("node:module"))`;
  const vm = `(await import("node:vm"))`;
  const read = `readFileSync("${folder}/secret.txt", "utf8")`;
  assertRefused(
    await tries(field, {
      "node:fs": `${fs}.${read}`,
      "node:fs/promises": `(await import("node:fs/promises")).readFile("${folder}/secret.txt")`,
      "createRequire of a module": `${node}.createRequire("file:///x.js")("${folder}/secret.cjs")`,
      "createRequire of JSON": `${node}.createRequire("file:///x.js")("${folder}/secret.json")`,
      "createRequire of fs": `${node}.createRequire("file:///x.js")("fs").${read}`,
      "Module._load": `${node}.default._load("${folder}/secret.cjs")`,
      "Module._extensions": `${node}.default._extensions[".js"]({ exports: {}, _compile: () => {} },
        "${folder}/secret.cjs")`,
      "process.getBuiltinModule": `(await import("node:process")).default
        .getBuiltinModule("node:fs").${read}`,
      "node:vm in a new context": `${vm}.runInNewContext("read()", {
        read: () => Deno.readTextFileSync("${folder}/secret.txt") })`,
      "the outer function of node:vm": `${vm}.runInNewContext("f.constructor('return Deno')()",
        { f: () => {} }).readTextFileSync("${folder}/secret.txt")`,
      "node:sqlite": `new (await import("node:sqlite")).DatabaseSync("${folder}/secret.txt")
        .exec("CREATE TABLE a (b)")`,
      "a package beside the file": `${node}.createRequire("${folder}/x.js").resolve("left-pad") &&
        ${fs}.statSync("${folder}/node_modules")`,
      dlopen: `(await import("node:process")).default.dlopen({ exports: {} }, "/lib/x.node")`,
      "Deno.dlopen": `Deno.dlopen("libc.so.6", {})`,
      "Deno.Command":
        `new Deno.Command("/usr/bin/cat", { args: ["${folder}/secret.txt"] }).outputSync()`,
      "child_process": `(await import("node:child_process")).execFileSync("/usr/bin/cat",
        ["${folder}/secret.txt"])`,
      "Deno.kill": `Deno.kill(Deno.ppid, "SIGKILL")`,
      "process.kill": `(await import("node:process")).default.kill(Deno.ppid, "SIGKILL")`,
      chdir: `Deno.chdir("/")`,
      umask: `Deno.umask(0)`,
      "fetch of a file": `(await fetch("file://${folder}/secret.txt")).text()`,
    }),
    /^Requires \w+ access|^Cannot find module|^npm package|^\S+ is not/,
  );
  await shop.assertUntouched();
});

onBoth("a tool that calls what node's internals export reads nothing with them", async (field) => {
  await using shop = await outside(field);
  const outcome = await field.attack(
    `
    import process from "node:process";
    export default ({ out }) => {
      const told = [];
      for (const name of ["fs", "natives", "spawn_sync", "process_wrap", "pipe_wrap", "tcp_wrap",
        "contextify", "config", "constants", "util", "buffer", "os"]) {
        let binding;
        try { binding = process.binding(name); } catch (error) { told.push(error.message); continue; }
        for (const key of Object.keys(binding)) {
          if (typeof binding[key] !== "function") continue;
          try { told.push(String(binding[key](out + "/secret.txt", 0, 0o666))); }
          catch (error) { told.push(error.message); }
        }
      }
      return told;
    };`,
    { input: { out: shop.folder } },
  );
  assert.ok(!say(outcome).includes(SECRET), say(outcome));
  await shop.assertUntouched();
});

onBoth("a tool that changes the flags of V8 gains nothing by it", async (field) => {
  await using shop = await outside(field);
  const flags = `(await import("node:v8")).setFlagsFromString`;
  const tried = await tries(field, {
    flags: `["--allow-natives-syntax", "--expose-gc", "--expose-internals", "--max-heap-size=8000",
      "--no-untrusted-code-mitigations", "--logfile=${shop.folder}/v8.log", "--log",
      "--redirect-code-traces-to=${shop.folder}/code.asm", "--trace-turbo-path=${shop.folder}",
      ].map(${flags}) && "set"`,
    "read then": `Deno.readTextFile("${shop.folder}/secret.txt")`,
    "compiled then": `Array.from({ length: 100000 }, (_, i) => i * 2).length`,
    "a snapshot of the heap": `(await import("node:v8")).writeHeapSnapshot("${shop.folder}/heap")`,
  });
  assertRefused({ read: tried["read then"], heap: tried["a snapshot of the heap"] });
  await shop.assertUntouched();
});

onBoth("a tool cannot attach or open a database outside", async (field) => {
  await using shop = await outside(field);
  const sqlite = `const { DatabaseSync, backup } = await import("node:sqlite");
    const memory = new DatabaseSync(":memory:", { allowExtension: false });`;
  const way = (does: string) => `await (async () => { ${sqlite} ${does} })()`;
  const tried = await tries(field, {
    open: way(`new DatabaseSync("${shop.folder}/new.db").exec("CREATE TABLE a (b)");`),
    "open by a URL": way(`new DatabaseSync("file:${shop.folder}/new.db?vfs=unix-none")
      .exec("CREATE TABLE a (b)");`),
    "open by a URL object": way(`new DatabaseSync(new URL("file://${shop.folder}/new.db"))
      .exec("CREATE TABLE a (b)");`),
    attach: way(`memory.exec("ATTACH '${shop.folder}/new.db' AS o; CREATE TABLE o.a (b)");`),
    vacuum: way(`memory.exec("CREATE TABLE a (b); VACUUM INTO '${shop.folder}/new.db'");`),
    backup: way(`await backup(memory, "${shop.folder}/new.db");`),
    extension: way(`new DatabaseSync(":memory:", { allowExtension: true }).loadExtension("x");`),
    readfile: way(`return memory.prepare("SELECT readfile('${shop.folder}/secret.txt')").all();`),
  });
  assertRefused(
    tried,
    /^Requires \w+ access|too many attached databases - max 0|no such function|loadExtension|extension/,
  );
  await shop.assertUntouched();
});

/** SQLite removes the names of such files as soon as they are open. */
const TEMPORARY = {
  "a folder for temporary files": `(async () => {
    const { DatabaseSync } = await import("node:sqlite");
    const memory = new DatabaseSync(":memory:");
    memory.exec("PRAGMA temp_store = 1; PRAGMA temp_store_directory = '" + input.out + "'");
    memory.exec("CREATE TEMP TABLE a (b); INSERT INTO a VALUES (zeroblob(10000000))");
    return memory.prepare("SELECT count(*) AS n FROM a").all();
  })()`,
};

Deno.test("a tool's database cannot have its temporary files outside", async () => {
  await using shop = await outside(whole);
  const tried = await tries(whole, TEMPORARY, { input: { out: shop.folder } });
  assertRefused(tried, /not a writable directory/);
  await shop.assertUntouched();
});

Deno.test("a tool's database has nameless temporary files outside without namespaces", async () => {
  await using shop = await outside(bare);
  const tried = await tries(bare, TEMPORARY, { input: { out: shop.folder } });
  assert.deepEqual(Object.values(tried), [{ got: [{ n: 1 }] }]);
  await shop.assertUntouched();
});

onBoth("a tool cannot open a folder outside through WASI", async (field) => {
  await using shop = await outside(field);
  const tried = await tries(field, {
    root:
      `new (await import("node:wasi")).WASI({ version: "preview1", preopens: { "/": "/" } }) && 1`,
    folder: `new (await import("node:wasi")).WASI({ version: "preview1",
      preopens: { "/x": "${shop.folder}" } }) && 1`,
  });
  assertRefused(tried, /failed to open preopen|^Requires \w+ access/);
  await shop.assertUntouched();
});

onBoth("a tool cannot open an inspector", async (field) => {
  const tried = await tries(field, {
    open: `(await import("node:inspector")).open(0, "127.0.0.1")`,
    console: `new (await import("node:inspector")).Session().connectToMainThread()`,
  });
  assertRefused(tried, /^Requires sys access|is not|not supported|worker/i);
});

onBoth("a tool that hooks the loading of modules reads nothing with it", async (field) => {
  await using shop = await outside(field);
  const tried = await tries(field, {
    register: `(await import("node:module")).register("data:text/javascript," +
      encodeURIComponent("export const load = () => ({ format: 'json', source: '1' })")) ?? "done"`,
    registerHooks: `(await import("node:module")).registerHooks({
      resolve: (specifier, context, next) => ({ url: "file://${shop.folder}/secret.ts",
        shortCircuit: true }) }) && "done"`,
    "import then": `(await import("data:text/javascript,export default 1")).default`,
    "require then": `(await import("node:module")).createRequire("file:///x.js")(
      "${shop.folder}/secret.cjs")`,
    "file then": `(await import("file://${shop.folder}/secret.ts")).default`,
  });
  assert.ok(!JSON.stringify(tried).includes(SECRET), JSON.stringify(tried));
  assertRefused(
    { require: tried["require then"], file: tried["file then"] },
    /Requires read access/,
  );
  await shop.assertUntouched();
});

/** Each way leads through a link in the granted workspace. */
const THROUGH_LINKS = {
  "read a file": `Deno.readTextFile(input.workspace + "/link.txt")`,
  "read in a folder": `Deno.readTextFile(input.workspace + "/link/secret.txt")`,
  "list a folder": `Array.fromAsync(Deno.readDir(input.workspace + "/link"))`,
  open: `(await Deno.open(input.workspace + "/link.txt")).statSync().size`,
  stat: `(await Deno.stat(input.workspace + "/link.txt")).size`,
  import: `import("file://" + input.workspace + "/link.txt", { with: { type: "text" } })`,
  WASI: `new (await import("node:wasi")).WASI({ version: "preview1",
    preopens: { "/x": input.workspace + "/link" } }) && 1`,
  "write a file": `Deno.writeTextFile(input.workspace + "/link.txt", "changed")`,
  "write in a folder": `Deno.writeTextFile(input.workspace + "/link/new.txt", "changed")`,
  "make a folder": `Deno.mkdir(input.workspace + "/link/new")`,
  truncate: `Deno.truncate(input.workspace + "/link/secret.txt", 1)`,
  "change the mode": `Deno.chmod(input.workspace + "/link.txt", 0)`,
  "change the time": `Deno.utime(input.workspace + "/link.txt", 0, 0)`,
  database: `new (await import("node:sqlite")).DatabaseSync(input.workspace + "/link/new.db")
    .exec("CREATE TABLE a (b)")`,
  "move out": `Deno.rename(input.workspace + "/mine.txt", input.workspace + "/link/mine.txt")`,
  "move in": `Deno.rename(input.workspace + "/link/secret.txt", input.workspace + "/in.txt")`,
  remove: `Deno.remove(input.workspace + "/link/secret.json")`,
};

const writable = (workspace: string) => ({
  input: { workspace },
  workspace,
  grants: { net: [], read: [], write: [workspace] },
});

Deno.test("a link in the workspace that leads outside leads nowhere for a tool", async () => {
  await using shop = await outside(whole);
  const { workspace } = shop;
  const tried = await tries(whole, THROUGH_LINKS, writable(workspace));
  assertRefused(tried, /No such file|unable to open|failed to open|not found/);
  await shop.assertUntouched();
  const reading = {
    input: { workspace },
    workspace,
    grants: { net: [], read: [workspace], write: [] },
  };
  assertRefused(
    await tries(whole, THROUGH_LINKS, reading),
    /No such file|^Requires \w+ access|unable to open|failed to open|not found/,
  );
  await shop.assertUntouched();
});

Deno.test("a link in the workspace that leads outside is followed without namespaces", async () => {
  await using shop = await outside(bare);
  const tried = await tries(bare, THROUGH_LINKS, writable(shop.workspace));
  // This one looks where the link leads; the others only at its name.
  const { open, ...followed } = tried;
  assertRefused({ open }, /^Requires read access/);
  for (const [way, { got, refused }] of Object.entries(followed)) {
    assert.ok(got !== undefined, `${way}: ${refused}`);
  }
});

onBoth("a tool cannot make a link that leads outside", async (field) => {
  await using shop = await outside(field);
  const { workspace, folder } = shop;
  const tried = await tries(field, {
    symlink: `Deno.symlink("${folder}/secret.txt", input.workspace + "/made")`,
    "a relative one": `Deno.symlink("../../../..${folder}/secret.txt", input.workspace + "/made")`,
    "one of node": `(await import("node:fs")).symlinkSync("${folder}", input.workspace + "/made")`,
    link: `Deno.link("${folder}/secret.txt", input.workspace + "/made")`,
    read: `Deno.readTextFile(input.workspace + "/made")`,
    write: `Deno.writeTextFile(input.workspace + "/made/secret.txt", "changed")`,
  }, writable(workspace));
  assertRefused(tried, /requires unscoped|Requires \w+ access|No such file/);
  await shop.assertUntouched();
});

onBoth("a tool's path with .. does not leave the workspace", async (field) => {
  await using shop = await outside(field);
  const { workspace, folder } = shop;
  const up = `${workspace}/../../../..${folder}`;
  const tried = await tries(field, {
    read: `Deno.readTextFile("${up}/secret.txt")`,
    write: `Deno.writeTextFile("${up}/secret.txt", "changed")`,
    "read a neighbour": `Deno.readTextFile(input.workspace + "/../other/mine.txt")`,
    "list the neighbours": `Array.fromAsync(Deno.readDir(input.workspace + "/.."))`,
    "write beside": `Deno.writeTextFile(input.workspace + "/../new.txt", "new")`,
    "a folder whose name begins alike": `Deno.mkdir(input.workspace + "-2")`,
    "a URL": `Deno.readTextFile(new URL("file://" + input.workspace + "/%2e%2e/other/mine.txt"))`,
    "a slash too many": `Deno.readTextFile("//" + "${folder}/secret.txt")`,
    "a byte of zero": `Deno.readTextFile(input.workspace + "/mine.txt\\0/../../x")`,
    "move out": `Deno.rename(input.workspace + "/mine.txt", "${up}/mine.txt")`,
    "copy in": `Deno.copyFile("${up}/secret.txt", input.workspace + "/in.txt")`,
    "a temporary file": `Deno.makeTempFile({ dir: "/var/tmp" })`,
    "its own folder": `Deno.writeTextFile(Deno.cwd() + "/x", "x")`,
  }, writable(workspace));
  assertRefused(tried, /^Requires \w+ access|nul byte|null bytes|interior/i);
  await shop.assertUntouched();
});

onBoth("a tool finds its way into no process through /proc", async (field) => {
  const pid = Deno.pid;
  await using shop = await outside(field);
  const ways = {
    "its own environment": `Deno.readTextFile("/proc/self/environ")`,
    "the kernel's environment": `Deno.readTextFile("/proc/${pid}/environ")`,
    "the kernel's arguments": `Deno.readTextFile("/proc/${pid}/cmdline")`,
    "the first one's arguments": `Deno.readTextFile("/proc/1/cmdline")`,
    "the first one's root": `Deno.readTextFile("/proc/1/root${shop.folder}/secret.txt")`,
    "its own root": `Deno.readTextFile("/proc/self/root${shop.folder}/secret.txt")`,
    "its parent's folder": `Array.fromAsync(Deno.readDir("/proc/" + Deno.ppid + "/cwd"))`,
    "its descriptors": `Array.fromAsync(Deno.readDir("/proc/self/fd"))`,
    "one of them": `Deno.readTextFile("/proc/self/fd/0")`,
    "one through /dev": `Deno.readTextFile("/dev/fd/3")`,
    "its memory": `Deno.open("/proc/self/mem", { read: true, write: true })`,
    "its maps": `Deno.readTextFile("/proc/self/maps")`,
    "all processes": `Array.fromAsync(Deno.readDir("/proc"))`,
    "its place in line to be killed": `Deno.writeTextFile("/proc/self/oom_score_adj", "-1000")`,
    "a setting of the system": `Deno.writeTextFile("/proc/sys/kernel/core_pattern", "|/x")`,
    "the terminal": `Deno.open("/dev/tty", { read: true, write: true })`,
  };
  assertRefused(await tries(field, ways));
  // Even of a tool that may read everything, where there are namespaces.
  if (field === bare) return;
  const grants = { net: [], read: ["/"], write: [] };
  const tried = await tries(field, ways, { grants, workspace: shop.workspace });
  assert.ok(!JSON.stringify(tried).includes(SECRET));
  assertRefused(tried, /^Requires all access|No such file|Requires \w+ access/);
  await shop.assertUntouched();
});

onBoth("a tool without grants reaches no host, no socket and no name", async (field) => {
  await using shop = await outside(field);
  const { port } = new URL(shop.url);
  const folder = field.kernel.tools.config.sockets;
  assertRefused(
    await tries(field, {
      fetch: `fetch("${shop.url}")`,
      connect: `Deno.connect({ port: ${port} })`,
      "a Unix socket": `Deno.connect({ transport: "unix", path: "${folder}/0.sock" })`,
      "its own socket again": `Deno.connect({ transport: "unix", path: Deno.args[0] })`,
      listen: `Deno.listen({ port: 0 })`,
      "listen on its own socket": `Deno.listen({ transport: "unix", path: Deno.args[0] })`,
      serve: `Deno.serve({ port: 0 }, () => new Response())`,
      node: `await new Promise(async (resolve, reject) =>
        (await import("node:net")).connect(${port}, "127.0.0.1").on("connect", resolve)
          .on("error", reject))`,
      http: `await new Promise(async (resolve, reject) =>
        (await import("node:http")).get("${shop.url}").on("response", resolve)
          .on("error", reject))`,
      "a name": `Deno.resolveDns("example.com", "A")`,
      "a name of node": `(await import("node:dns/promises")).lookup("example.com")`,
      "a WebSocket": `new WebSocket("ws://127.0.0.1:${port}")`,
      "a proxy": `fetch("http://example.com", { client: Deno.createHttpClient({
        proxy: { url: "${shop.url}" } }) })`,
      "a proxy on a socket": `fetch("http://example.com", { client: Deno.createHttpClient({
        proxy: { transport: "unix", path: "${folder}/0.sock" } }) })`,
    }),
    // Names are looked up in files first, which are not there.
    /Requires (net|read|write) access|^getaddrinfo EPERM|^proto error: io error: No such file/,
  );
  await shop.assertUntouched();
});

onBoth("a tool that opens a socket for datagrams ends by it", async (field) => {
  const outcome = await field.attack(`
    import { createSocket } from "node:dgram";
    export default () => new Promise((resolve) =>
      createSocket("udp4").on("listening", () => resolve("open")).bind(0));`);
  assert.ok(!outcome.ok && /ended before it answered/.test(outcome.error), say(outcome));
});

onBoth("a tool that may talk to one host reaches no other one through it", async (field) => {
  await using shop = await outside(field);
  const lure = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => Response.redirect(`${shop.url}/redirected`),
  );
  const host = `127.0.0.1:${lure.addr.port}`;
  const { port } = new URL(shop.url);
  const tried = await tries(field, {
    "the host": `(await fetch("http://${host}", { redirect: "manual" })).status`,
    "a redirect": `(await fetch("http://${host}")).text()`,
    "another port": `(await fetch("${shop.url}")).text()`,
    "another name of the host": `(await fetch("http://localhost:${port}")).text()`,
    "a number": `(await fetch("http://2130706433:${port}")).text()`,
    "every address": `(await fetch("http://0.0.0.0:${port}")).text()`,
    "version 6": `(await fetch("http://[::ffff:127.0.0.1]:${port}")).text()`,
    "a Unix socket":
      `Deno.connect({ transport: "unix", path: "${field.kernel.tools.config.sockets}/0.sock" })`,
  }, { grants: { net: [host], read: [], write: [] } });
  await lure.shutdown();
  const { "the host": granted, ...others } = tried;
  assert.deepEqual(granted, { got: 302 });
  assertRefused(others, /Requires (net|read|write) access/);
  await shop.assertUntouched();
});

function say(outcome: unknown): string {
  return JSON.stringify(outcome);
}
