/**
 * Starting: what cannot work ends with one clear sentence, exit code 78, and no stack; what runs is left
 * alone and used.
 */
import assert from "node:assert/strict";
import { EXIT } from "../../runtime/core/exit.ts";
import { done, getJson } from "../support/api.ts";
import { tempFolder } from "../support/folder.ts";
import { longTest, rows } from "../support/long.ts";
import {
  assertRefused,
  freePort,
  runLauncher,
  startTroupe,
  type Troupe,
} from "../support/troupe.ts";

Deno.test("a start on a port in use is refused with the port's number", async () => {
  await using folder = await tempFolder();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  try {
    const ended = await runLauncher(["start"], { DATA_DIR: folder.path, PORT: String(port) });
    assertRefused(ended, new RegExp(`port ${port}`), /in use/);
  } finally {
    listener.close();
  }
});

Deno.test("a start with a file in the data folder's place is refused with its path", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/data`;
  await Deno.writeTextFile(path, "not a folder");
  assertRefused(await runLauncher(["start"], { DATA_DIR: path }), new RegExp(path), /DATA_DIR/);
  assert.equal(await Deno.readTextFile(path), "not a folder");
});

longTest("a start with a data folder below a file is refused with its path", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(`${folder.path}/file`, "");
  const path = `${folder.path}/file/data`;
  assertRefused(await runLauncher(["start"], { DATA_DIR: path }), new RegExp(path));
});

Deno.test("a start on a corrupt database is refused with its path, and leaves it as it is", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/troupe.db`;
  const text = "This is a letter, and no database. ".repeat(200);
  await Deno.writeTextFile(path, text);
  assertRefused(await runLauncher(["start"], { DATA_DIR: folder.path }), new RegExp(path));
  assert.equal(await Deno.readTextFile(path), text);
});

longTest("a start on a database of another program is refused with its path", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/troupe.db`;
  const { default: Database } = await import("libsql");
  const theirs = new Database(path);
  theirs.exec("CREATE TABLE invoices (id INTEGER PRIMARY KEY)");
  theirs.close();
  assertRefused(await runLauncher(["start"], { DATA_DIR: folder.path }, 8_000), new RegExp(path));
});

for (
  const [name, value] of rows([
    ["PORT", "eight"],
    ["PORT", "99999"],
    ["PORT", "-1"],
    ["MAX_CONCURRENT_AGENTS", "0"],
    ["DEFAULT_TIMEOUT_SECONDS", "soon"],
    ["SUPERVISOR_CHECK_INTERVAL", "0"],
    ["DATABASE_URL", "postgres://db"],
    ["DATABASE_URL", "http://"],
    ["TROUPE_ADMIN_TOKEN", "short"],
    ["HOST", "0.0.0.0"],
    ["HOST", "not a host"],
  ])
) {
  Deno.test(`a start with ${name}=${value} is refused by the variable's name`, async () => {
    await using folder = await tempFolder();
    const env = { DATA_DIR: folder.path, [name]: value };
    assertRefused(await runLauncher(["start"], env, 8_000), new RegExp(name));
  });
}

Deno.test("a start in a data folder with a comma, which no grant can name, is refused", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: `${folder.path}/one,two` };
  assertRefused(await runLauncher(["start"], env, 8_000), /comma/);
});

Deno.test("a run of one task prints exactly its result on standard output and ends with 0", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: folder.path };
  const { code, stdout, stderr } = await runLauncher(["run", "Compute 17 * 23 + 4"], env);
  assert.equal(stdout, "395\n", stderr);
  assert.equal(code, EXIT.ok);
  assert.match(stderr, /offline model/);
  assert.doesNotMatch(stderr, / {4}at /);
});

Deno.test("a run without a task, and an unknown command, end with 78 and say how to do it", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: folder.path };
  for (const [args, words] of [[["run"], /run .*"TASK"/], [["fly"], /no command fly/]] as const) {
    const { code, stderr } = await runLauncher(args, env);
    assert.equal(code, EXIT.config);
    assert.match(stderr, words);
    assert.doesNotMatch(stderr, / {4}at /);
  }
});

/** Of all that serve here; it has a name that is easily mistaken. */
let home: { path: string } & AsyncDisposable;
const NAME = "dätä with blanks 100%25";
const data_dir = () => `${home.path}/${NAME}`;

/** The one that serves, for all tests that leave it as it is. */
let serving: Promise<Troupe> | null = null;

function served(): Promise<Troupe> {
  return serving ??= startTroupe({
    env: {
      DATA_DIR: data_dir(),
      LD_LIBRARY_PATH: "/usr/lib",
      LD_PRELOAD: "",
      SOMEBODYS_SECRET: "hunter2",
      PORT: String(freePort()),
    },
  });
}

Deno.test.beforeAll(async () => void (home = await tempFolder()));
Deno.test.afterAll(async () => {
  await (await serving)?.stop();
  await home[Symbol.asyncDispose]();
});

Deno.test(`a start in a data folder named "${NAME}" works`, async () => {
  const response = await fetch(`${(await served()).url}/ready`);
  assert.equal((await response.json()).status, "ready");
});

Deno.test("a second start on one data folder is refused and names the first; the first goes on", async () => {
  const troupe = await served();
  const ended = await runLauncher(["start"], { DATA_DIR: troupe.data_dir });
  assertRefused(ended, /running already/, new RegExp(troupe.url));
  assert.match(ended.stderr, new RegExp(`process ${await troupe.kernelPid()}\\b`));
  const response = await fetch(`${troupe.url}/ready`);
  assert.equal((await response.json()).status, "ready");
});

Deno.test("a run uses the kernel that serves already", async () => {
  const troupe = await served();
  const instruction = "Compute 800 - 405";
  const env = { DATA_DIR: troupe.data_dir };
  const { code, stdout } = await runLauncher(["run", instruction], env);
  assert.deepEqual([code, stdout], [EXIT.ok, "395\n"]);
  assert.equal(await begunAs(troupe, instruction), 1);
});

Deno.test("a run of a task that fails prints nothing on standard output and ends with 1", async () => {
  const troupe = await served();
  const instruction = "Write a poem about the sea";
  const env = { DATA_DIR: troupe.data_dir };
  const { code, stdout, stderr } = await runLauncher(["run", instruction], env);
  assert.equal(stdout, "");
  assert.equal(code, EXIT.failed);
  assert.match(stderr, /This task needs a real model/);
  assert.doesNotMatch(stderr, / {4}at /);
});

async function begunAs({ url }: Troupe, instruction: string): Promise<number> {
  const { items } = await getJson<{ items: { instruction: string }[] }>(`${url}/api/trees`);
  return items.filter((tree) => tree.instruction === instruction).length;
}

Deno.test("a start in an environment that tells the loader what to load works, down to the tools", async () => {
  const troupe = await served();
  const tree = await done(troupe.url, { instruction: "Compute 17 * 23 + 4" });
  assert.equal(tree.result, "395");
  assert.doesNotMatch(troupe.log(), /died|LD_| {4}at /);
  // With it the kernel could start no `kill` and see no cell's memory.
  assert.doesNotMatch(await environmentOf(troupe), /LD_/);
});

Deno.test("a kernel gets nothing of its surroundings that it does not need", async () => {
  const environment = await environmentOf(await served());
  assert.match(environment, /(^|\0)DATA_DIR=/);
  assert.doesNotMatch(environment, /SOMEBODYS_SECRET/);
});

async function environmentOf(troupe: Troupe): Promise<string> {
  const path = `/proc/${await troupe.kernelPid()}/environ`;
  const { stdout } = await new Deno.Command("cat", { args: [path] }).output();
  return new TextDecoder().decode(stdout);
}

interface Stopped {
  readonly code: number;
  /** Of the kernel. */
  readonly pid: number;
  readonly log: string;
}

/** Stops the one that serves; who needs one after it starts another. */
async function stopServing(): Promise<Stopped> {
  const troupe = await served();
  const pid = await troupe.kernelPid();
  serving = null;
  return { code: await troupe.stop(), pid, log: troupe.log() };
}

async function assertStopped({ code, pid, log }: Stopped): Promise<void> {
  assert.equal(code, EXIT.ok);
  const look = new Deno.Command("kill", { args: ["-0", String(pid)], stderr: "null" });
  assert.notEqual((await look.output()).code, 0, "the kernel still runs");
  assert.doesNotMatch(log, / {4}at /);
}

let stopping: Promise<Stopped> | null = null;
const KEPT = "Compute 1 + 1";

/** The first stop, after a task; beside the folder a copy of its database file is left. */
function firstStop(): Promise<Stopped> {
  return stopping ??= (async () => {
    const { url } = await served();
    await done(url, { instruction: KEPT, after_task: "none" });
    const stopped = await stopServing();
    await Deno.mkdir(`${home.path}/copy`);
    await Deno.copyFile(`${data_dir()}/troupe.db`, `${home.path}/copy/troupe.db`);
    return stopped;
  })();
}

Deno.test("a stop ends launcher and kernel with 0, and the folder can be used again", async () => {
  await assertStopped(await firstStop());
  await assertStopped(await stopServing());
});

Deno.test("a copy of the database file alone has everything after a stop", async () => {
  assert.equal((await firstStop()).code, EXIT.ok);
  await using copy = await startTroupe({ env: { DATA_DIR: `${home.path}/copy` } });
  assert.equal(await begunAs(copy, KEPT), 1);
});

for (const name of ["a folder with blanks", "dätä", "100%25"]) {
  longTest(`a start in a data folder named "${name}" works`, async () => {
    await using folder = await tempFolder();
    const troupe = await startTroupe({ env: { DATA_DIR: `${folder.path}/${name}` } });
    const response = await fetch(`${troupe.url}/ready`);
    assert.equal((await response.json()).status, "ready");
    assert.equal(await troupe.stop(), EXIT.ok);
  });
}
