/** Holds every import to the arrows of the house style, and each part to what it may do. */
import assert from "node:assert/strict";
import { importsOf, readSources, withoutComments, withoutStrings } from "./support/sources.ts";

/**
 * Which parts of the program, or single files, a part may import, besides itself. A part is the longest
 * prefix. Each arrow stands in the house style, but for those with a reason here.
 */
const ARROWS: Record<string, readonly string[]> = {
  "runtime/core": [],
  "actors": ["runtime/core"],
  "islands": ["runtime/core"],
  "deploy": ["runtime/core"],
  "db": ["runtime/core"],
  "seeds": ["db", "runtime/core"],
  // What the world is asked for is said in the core's words.
  "runtime/ports.ts": ["runtime/core"],
  "runtime/confined": ["runtime/ports.ts", "runtime/core"],
  "runtime/passing": ["runtime/ports.ts", "runtime/core"],
  "runtime/supervision": ["runtime/ports.ts", "runtime/core"],
  // A cell is one of the confined processes: both ends speak over their wire.
  "runtime/cells": ["actors", "runtime/confined/wire.ts", "runtime/ports.ts", "runtime/core"],
  "runtime/commands": ["db", "runtime/ports.ts", "runtime/core"],
  "runtime/loop": ["runtime/commands", "runtime/ports.ts", "db", "runtime/core"],
  "runtime/outbox": ["runtime/commands", "db", "runtime/ports.ts", "runtime/core"],
  "runtime/tools": ["runtime/commands", "db", "runtime/ports.ts", "runtime/core"],
  "runtime/model": ["runtime/commands", "db", "runtime/ports.ts", "runtime/core"],
  // It shows its clock and its log to the pages, and they are ports.
  "runtime/kernel.ts": [
    "runtime/commands",
    "runtime/loop",
    "runtime/passing",
    "runtime/ports.ts",
    "db",
    "runtime/core",
  ],
  "runtime/boot.ts": [
    "runtime/kernel.ts",
    "runtime/commands",
    "runtime/loop",
    "runtime/outbox",
    "runtime/tools",
    "runtime/model",
    "runtime/cells",
    "runtime/confined",
    "runtime/passing",
    "runtime/supervision",
    "runtime/ports.ts",
    "db",
    "runtime/core",
  ],
  // This machine, as the ports that boot takes: whoever puts together what boot is handed.
  "runtime/real_ports.ts": [
    "runtime/boot.ts",
    "runtime/cells",
    "runtime/confined",
    "runtime/model/gateway.ts",
    "runtime/model/cassette.ts",
    "runtime/ports.ts",
    "db/store.ts",
    "runtime/core",
  ],
  // What the program takes hold of before anything is booted.
  "runtime/data_folder.ts": ["runtime/core"],
  "runtime/database_marker.ts": ["runtime/ports.ts", "runtime/core"],
  "routes": ["runtime/kernel.ts", "runtime/passing", "db", "runtime/core", "islands"],
  "main.ts": [
    "runtime/boot.ts",
    "routes",
    "seeds",
    "actors",
    // It boots the machine that it runs on: what that can confine, its folder, its recorded models, and
    // its database, which it marks and seeds before a kernel runs on it.
    "runtime/real_ports.ts",
    "runtime/confined/sandbox.ts",
    "runtime/data_folder.ts",
    "runtime/database_marker.ts",
    "runtime/model/cassette.ts",
    "runtime/commands/seed.ts",
    "db/seeding.ts",
    "db/store.ts",
    "runtime/core",
  ],
};

/** They take reads and types from `db/` and nothing that writes: what they want done is a command. */
const READERS: readonly string[] = [
  "routes",
  "runtime/tools",
  "runtime/model",
  "runtime/kernel.ts",
];

/** Pure parts must not know any of these. */
const IMPURE: readonly [what: string, pattern: RegExp][] = [
  ["await", /\bawait\b/],
  ["async", /\basync\b/],
  ["Promise", /\bPromise\b/],
  ["Date", /\bDate\b/],
  ["performance", /\bperformance\b/],
  ["Math.random", /\bMath\s*\.\s*random\b/],
  ["crypto", /\bcrypto\b/],
  ["fetch", /\bfetch\s*\(/],
  ["Deno", /\bDeno\b/],
  ["process", /\bprocess\s*\./],
  ["a timer", /\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/],
  ["console", /\bconsole\b/],
  ["globalThis", /\bglobalThis\b/],
  ["a dynamic import", /\bimport\s*\(/],
];

const sources = await readSources();

function partOf(file: string): string | undefined {
  return Object.keys(ARROWS).filter((part) => isIn(file, part))
    .sort((a, b) => b.length - a.length)[0];
}

function isIn(file: string, part: string): boolean {
  return file === part || file.startsWith(`${part}/`);
}

function isOurs(specifier: string): boolean {
  return /^[a-z_]+(\/.+)?\.tsx?$/.test(specifier);
}

function mayImport(file: string, target: string): boolean {
  const [from, to] = [partOf(file), partOf(target)];
  if (from === undefined || to === undefined) return false;
  return from === to || ARROWS[from].includes(to) || ARROWS[from].includes(target);
}

function lineOf(code: string, pattern: RegExp): number | null {
  const at = code.search(pattern);
  return at < 0 ? null : code.slice(0, at).split("\n").length;
}

Deno.test("the sources are found and their imports are read", () => {
  const known = new Map(sources.map(({ file, imports }) => [file, imports]));
  assert.ok(sources.length > 60, `found ${sources.length} files`);
  assert.ok(known.get("main.ts")!.includes("runtime/boot.ts"));
  // An import that is neither static nor of a value, and one that is resolved.
  assert.ok(known.get("db/engine.ts")!.includes("libsql"));
  assert.ok(known.get("main.ts")!.includes("actors/agent.ts"));
  assert.ok(known.get("actors/agent.ts")!.includes("runtime/core/protocol.ts"));
});

Deno.test("the reader of imports sees each form of an import and no comment", () => {
  const code = withoutComments(`
    import a from "./a.ts"; // import x from "./x.ts"
    import type { B,
      C } from "../db/b.ts"; /* import y from "./y.ts" */
    import "./side.ts";
    export * from "./again.ts";
    const url = "http://nowhere"; await import("./later.ts");
    import.meta.resolve("./worker.ts");
  `);
  assert.deepEqual(importsOf("runtime/file.ts", code).sort(), [
    "db/b.ts",
    "runtime/a.ts",
    "runtime/again.ts",
    "runtime/later.ts",
    "runtime/side.ts",
    "runtime/worker.ts",
  ]);
});

Deno.test("an import against the arrows would be noticed", () => {
  for (
    const [file, target] of [
      ["runtime/core/actor.ts", "runtime/kernel.ts"],
      ["db/tasks.ts", "runtime/kernel.ts"],
      ["deploy/launcher.ts", "runtime/kernel.ts"],
      ["actors/agent.ts", "db/tasks.ts"],
      ["runtime/kernel.ts", "routes/app.ts"],
      ["runtime/tools/store.ts", "runtime/kernel.ts"],
      ["runtime/tools/store.ts", "runtime/loop/scheduler.ts"],
      ["runtime/outbox/outbox.ts", "runtime/tools/store.ts"],
      ["runtime/loop/watch.ts", "runtime/outbox/outbox.ts"],
      ["runtime/commands/mod.ts", "runtime/loop/watch.ts"],
      ["runtime/confined/process.ts", "runtime/cells/frames.ts"],
      ["runtime/ports.ts", "db/store.ts"],
      ["routes/app.ts", "runtime/ports.ts"],
      ["routes/app.ts", "runtime/commands/mod.ts"],
      ["seeds/mod.ts", "main.ts"],
      ["runtime/new_part.ts", "runtime/core/actor.ts"],
      ["routes/app.ts", "runtime/new_part.ts"],
    ]
  ) assert.ok(isOurs(target) && !mayImport(file, target), `${file} imports ${target}`);
  assert.ok(mayImport("routes/api/trees.ts", "db/trees.ts"));
});

Deno.test("every import follows the arrows", () => {
  const broken = sources.flatMap(({ file, imports }) =>
    imports.filter(isOurs).filter((target) => !mayImport(file, target))
      .map((target) => `${file} imports ${target}`)
  );
  assert.deepEqual(broken, []);
});

Deno.test("no file imports itself by way of others, not even for a type", () => {
  assert.deepEqual(circleIn(new Map(sources.map(({ file, imports }) => [file, imports]))), null);
  const parts = Object.entries(ARROWS).map(([from, to]): [string, string[]] => [
    from,
    to.map((one) => partOf(one)!),
  ]);
  assert.deepEqual(circleIn(new Map(parts)), null);
});

Deno.test("a circle of imports would be noticed, whichever file it is seen from", () => {
  const graph = new Map([["a", ["b", "zod"]], ["b", ["c", "d"]], ["c", []], ["d", ["e"]]]);
  assert.equal(circleIn(graph), null);
  assert.deepEqual(circleIn(new Map([...graph, ["e", ["c", "b"]]])), ["b", "d", "e", "b"]);
  assert.deepEqual(circleIn(new Map([["a", ["a"]]])), ["a", "a"]);
});

/** The files of a circle in their order; null when there is none. */
function circleIn(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const known = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (known.has(file)) return null;
    known.add(file);
    for (const target of graph.get(file) ?? []) {
      const circle = visit(target, [...path, file]);
      if (circle) return circle;
    }
    return null;
  };
  for (const file of graph.keys()) {
    const circle = visit(file, []);
    if (circle) return circle;
  }
  return null;
}

Deno.test("routes, tools, the model's part and the kernel take nothing from db but its reads", () => {
  const reads = new Map(
    sources.filter(({ file }) => partOf(file) === "db").map(({ file, code }) => [
      file,
      readsOf(code),
    ]),
  );
  const broken = sources
    .filter(({ file }) => READERS.some((part) => file.startsWith(`${part}/`)))
    .flatMap(({ file, code }) =>
      valuesOf(file, code).filter(([target]) => reads.has(target))
        .filter(([target, name]) => !reads.get(target)!.includes(name))
        .map(([target, name]) => `${file} takes ${name} from ${target}`)
    );
  assert.deepEqual(broken, []);
});

Deno.test("a reader that takes a write from db would be noticed", () => {
  const { code } = sources.find(({ file }) => file === "db/trees.ts")!;
  assert.ok(readsOf(code).includes("findTree"));
  assert.ok(!readsOf(code).includes("addTree"));
  const taken = valuesOf(
    "routes/page.ts",
    `import { addTree, findTree as found, type TreeView } from "../db/trees.ts";
    import type { Db } from "../db/schema.ts"; import * as all from "../db/tasks.ts";
    const { endTask } = await import("../db/endings.ts");`,
  );
  assert.deepEqual(taken, [
    ["db/trees.ts", "addTree"],
    ["db/trees.ts", "findTree"],
    ["db/tasks.ts", "* as all"],
    ["db/endings.ts", "import()"],
  ]);
});

/** Names of the reads that a file exports: what it gives for a database. */
function readsOf(code: string): string[] {
  const read = /\bexport\s+(?:async\s+)?function\s+(\w+)\s*\(\s*db: Db\b/g;
  return [...code.matchAll(read)].map(([, name]) => name);
}

/** What a file takes from which other one; types are no values. */
function valuesOf(file: string, code: string): [target: string, name: string][] {
  const from = (specifier: string) => importsOf(file, `import "${specifier}"`)[0];
  const named = /\b(?:import|export)\s+(?!type\b)([^"';]+?)\s+from\s*"([^"]+)"/g;
  const whole = /\bimport\s*\(\s*"([^"]+)"|\bimport\s*"([^"]+)"/g;
  return [
    ...[...code.matchAll(named)].flatMap(([, names, specifier]) =>
      names.replace(/[{}]/g, "").split(",").map((one) => one.trim())
        .filter((one) => one !== "" && !one.startsWith("type "))
        .map((one): [string, string] => [
          from(specifier),
          one.startsWith("*") ? one : one.split(/\s+as\s+/)[0],
        ])
    ),
    ...[...code.matchAll(whole)].map(([, later, side]): [string, string] => [
      from(later ?? side),
      "import()",
    ]),
  ];
}

/** Who may say `commit`: the store itself, and the one function that tells whom a commit concerns. */
const COMMITTERS: readonly string[] = ["db", "runtime/commands/commit.ts"];

Deno.test("nothing but commitAndTell commits", () => {
  const broken = sources
    .filter(({ file }) => !COMMITTERS.some((part) => isIn(file, part)))
    .flatMap(({ file, code }) => {
      const line = commitIn(code);
      return line === null ? [] : [`${file}:${line} takes a store's commit`];
    });
  assert.deepEqual(broken, []);
});

Deno.test("whoever takes a store's commit in another way would be noticed", () => {
  for (
    const code of [
      "await store.commit(unit)",
      "const { commit } = store;",
      'store["commit"](unit)',
      'readonly store: Pick<Store, "commit">',
    ]
  ) assert.equal(commitIn(`\n${code}`), 2, code);
  assert.equal(commitIn('import { commitAndTell } from "./commit.ts"; this.#commit(life)'), null);
});

/** Line of the first use of that name, private methods aside. */
function commitIn(code: string): number | null {
  return lineOf(code, /["'`]commit["'`]/) ?? lineOf(withoutStrings(code), /(?<!#)\bcommit\b/);
}

Deno.test("nothing imports a test", () => {
  const broken = sources.filter(({ imports }) => imports.some((one) => one.startsWith("tests/")));
  assert.deepEqual(broken.map(({ file }) => file), []);
});

Deno.test("the core knows no clock, no chance, no waiting and no outside world", () => {
  const broken = sources.filter(({ file }) => partOf(file) === "runtime/core")
    .flatMap(({ file, code }) =>
      IMPURE.flatMap(([what, pattern]) => {
        const line = lineOf(withoutStrings(code), pattern);
        return line === null ? [] : [`${file}:${line} uses ${what}`];
      })
    );
  assert.deepEqual(broken, []);
});

Deno.test("actors are as pure as the core", () => {
  const broken = sources.filter(({ file }) => partOf(file) === "actors")
    .flatMap(({ file, code }) =>
      IMPURE.flatMap(([what, pattern]) => {
        const line = lineOf(withoutStrings(code), pattern);
        return line === null ? [] : [`${file}:${line} uses ${what}`];
      })
    );
  assert.deepEqual(broken, []);
});

Deno.test("an actor, with everything that it imports as a value, needs no package", () => {
  // A worker has no permission to read packages: types are erased before it starts.
  const byFile = new Map(sources.map((source) => [source.file, source]));
  const broken: string[] = [];
  const seen = new Set<string>();
  const visit = (file: string, from: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const source = byFile.get(file);
    if (!source) return void broken.push(`${from} imports ${file}`);
    const values = source.code.replace(/\b(?:import|export)\s+type\b[^"']*["'][^"']+["']/g, "");
    for (const target of importsOf(file, values)) visit(target, file);
  };
  for (const { file } of sources) if (partOf(file) === "actors") visit(file, "the kernel");
  assert.deepEqual(broken, []);
});

Deno.test("the core imports no package but the schemas", () => {
  const broken = sources.filter(({ file }) => partOf(file) === "runtime/core")
    .flatMap(({ file, imports }) =>
      imports.filter((one) => !isOurs(one) && one !== "zod").map((one) => `${file} imports ${one}`)
    );
  assert.deepEqual(broken, []);
});

/** Ways of speaking SQL: in words, or through the typed builders. */
const SQL: readonly [what: string, pattern: RegExp][] = [
  ["a piece of SQL", /\bsql\s*(?:<[^>`]*>)?\s*`/],
  ["raw SQL", /\bsql\s*\.\s*(?:raw|lit|ref|table|id)\b/],
  [
    "a statement's builder",
    /\bquery\s*\.\s*(?:insertInto|updateTable|deleteFrom|selectFrom|selectNoFrom|replaceInto)\b/,
  ],
  ["a write", /\.\s*(?:insertInto|updateTable|deleteFrom|replaceInto|mergeInto)\s*\(/],
  [
    "a read",
    /\.\s*(?:selectFrom|selectNoFrom|withRecursive|execute|executeTakeFirst|executeTakeFirstOrThrow)\s*\(/,
  ],
  ["a named query", /\.\s*with\s*\(\s*["'`]/],
  [
    "SQL in a string",
    /["'`]\s*(?:SELECT\s|INSERT\s+(?:OR\s|INTO\s)|UPDATE\s+\w+\s+SET|DELETE\s+FROM|PRAGMA\s|CREATE\s+TABLE)/,
  ],
];

Deno.test("only db speaks SQL", () => {
  const broken = sources
    .filter(({ file }) => partOf(file) !== "db")
    .flatMap(({ file, code }) =>
      SQL.flatMap(([what, pattern]) => {
        const line = lineOf(code, pattern);
        return line === null ? [] : [`${file}:${line} has ${what}`];
      })
    );
  assert.deepEqual(broken, []);
});

Deno.test("the database's packages are imported by db alone, their types too", () => {
  const broken = sources.filter(({ file }) => partOf(file) !== "db")
    .flatMap(({ file, imports }) =>
      imports.filter((one) => /^(kysely|libsql|@libsql)/.test(one))
        .map((one) => `${file} imports ${one}`)
    );
  assert.deepEqual(broken, []);
});
