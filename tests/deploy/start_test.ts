/** Starting in a way that cannot work: one clear sentence, exit code 78, and no stack. */
import assert from "node:assert/strict";
import { EXIT } from "../../runtime/core/exit.ts";
import { done, getJson } from "../support/api.ts";
import { tempFolder } from "../support/folder.ts";
import { longTest, rows } from "../support/long.ts";
import { type Ended, runLauncher, startTroupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";

/** It must say one sentence that has these words, and end with 78. A new database is seeded first. */
function assertRefused({ code, stdout, stderr }: Ended, ...words: RegExp[]): void {
  const said = `exit code ${code}, standard error:\n${stderr}`;
  assert.equal(code, EXIT.config, said);
  const lines = stderr.trim().split("\n").filter((line) => !/^Seeded \d+ definitions$/.test(line));
  assert.equal(lines.length, 1, said);
  assert.match(lines[0], /^Cannot /, said);
  assert.doesNotMatch(stderr, / {4}at |Error:|file:\/\/\/\S*\.ts/, said);
  for (const word of words) assert.match(stderr, word, said);
  assert.doesNotMatch(stdout, /ready/);
}

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

Deno.test("a start with a data folder below a file is refused with its path", async () => {
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

Deno.test("a start on a database of another program is refused with its path", async () => {
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

Deno.test("a second start on one data folder is refused and names the first; the first goes on", async () => {
  await using troupe = await startTroupe();
  const ended = await runLauncher(["start"], { DATA_DIR: troupe.data_dir });
  assertRefused(ended, /running already/, new RegExp(troupe.url));
  assert.match(ended.stderr, new RegExp(`process ${await troupe.kernelPid()}\\b`));
  const response = await fetch(`${troupe.url}/ready`);
  assert.equal((await response.json()).status, "ready");
});

for (const name of rows(["a folder with blanks", "dätä", "100%25"])) {
  Deno.test(`a start in a data folder named "${name}" works`, async () => {
    await using folder = await tempFolder();
    const troupe = await startTroupe({ env: { DATA_DIR: `${folder.path}/${name}` } });
    const response = await fetch(`${troupe.url}/ready`);
    assert.equal((await response.json()).status, "ready");
    assert.equal(await troupe.stop(), EXIT.ok);
  });
}

Deno.test("a start in a data folder with a comma, which no grant can name, is refused", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: `${folder.path}/one,two` };
  assertRefused(await runLauncher(["start"], env, 8_000), /comma/);
});

Deno.test("a stop ends launcher and kernel with 0, and the folder can be used again", async () => {
  await using folder = await tempFolder();
  for (let time = 0; time < 2; time++) {
    const troupe = await startTroupe({ env: { DATA_DIR: folder.path } });
    const pid = await troupe.kernelPid();
    assert.equal(await troupe.stop(), EXIT.ok);
    const look = new Deno.Command("kill", { args: ["-0", String(pid)], stderr: "null" });
    assert.notEqual((await look.output()).code, 0, "the kernel still runs");
    assert.doesNotMatch(troupe.log(), / {4}at /);
  }
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

Deno.test("a run of a task that fails prints nothing on standard output and ends with 1", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: folder.path };
  const { code, stdout, stderr } = await runLauncher(["run", "Write a poem about the sea"], env);
  assert.equal(stdout, "");
  assert.equal(code, EXIT.failed);
  assert.match(stderr, /This task needs a real model/);
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

Deno.test("a run uses the kernel that serves already", async () => {
  await using troupe = await startTroupe();
  const env = { DATA_DIR: troupe.data_dir };
  const { code, stdout } = await runLauncher(["run", "Compute 17 * 23 + 4"], env);
  assert.deepEqual([code, stdout], [EXIT.ok, "395\n"]);
  const response = await fetch(`${troupe.url}/api/trees`);
  assert.equal((await response.json()).items.length, 1);
});

Deno.test("a seed command seeds once, and a second one writes nothing", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: folder.path };
  const first = await runLauncher(["seed"], env);
  assert.equal(first.code, EXIT.ok, first.stderr);
  assert.match(first.stderr, /Seeded [1-9]\d* definitions/);
  const second = await runLauncher(["seed"], env);
  assert.equal(second.code, EXIT.ok, second.stderr);
  assert.match(second.stderr, /Seeded 0 definitions/);
});

/** Starts in a data folder, has a task done, and ends it without a word, as a power cut would. */
async function useAndKill(data_dir: string): Promise<void> {
  const troupe = await startTroupe({ env: { DATA_DIR: data_dir } });
  const kernel = await troupe.kernelPid();
  await done(troupe.url, { instruction: "Compute 1 + 1" });
  // The folder hears of the newest stamp a moment after the commit.
  const stamps = async () =>
    JSON.parse(await Deno.readTextFile(`${data_dir}/database.json`))["file:troupe.db"].stamp;
  await until("a stamp", async () => await stamps() > 1);
  Deno.kill(troupe.pid, "SIGKILL");
  Deno.kill(kernel, "SIGKILL");
  await troupe.stop().catch(() => {});
}

async function treesOf(data_dir: string): Promise<number> {
  const troupe = await startTroupe({ env: { DATA_DIR: data_dir } });
  try {
    return (await getJson<{ items: unknown[] }>(`${troupe.url}/api/trees`)).items.length;
  } finally {
    await troupe.stop();
  }
}

Deno.test("a copy of the database file alone has everything after a stop", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: `${folder.path}/first` };
  const troupe = await startTroupe({ env });
  await done(troupe.url, { instruction: "Compute 1 + 1" });
  assert.equal(await troupe.stop(), EXIT.ok);
  await Deno.mkdir(`${folder.path}/second`);
  await Deno.copyFile(`${folder.path}/first/troupe.db`, `${folder.path}/second/troupe.db`);
  assert.equal(await treesOf(`${folder.path}/second`), 1);
});

Deno.test("a used data folder without its database is refused, not seeded anew, until it is back", async () => {
  await using folder = await tempFolder();
  const env = { DATA_DIR: folder.path };
  const [file, aside] = [`${folder.path}/troupe.db`, `${folder.path}/aside.db`];
  assert.equal((await runLauncher(["seed"], env)).code, EXIT.ok);
  await Deno.rename(file, aside);
  for (const command of ["start", "seed"]) {
    const ended = await runLauncher([command], env);
    assertRefused(ended, new RegExp(file), /is missing or empty/, /restore a backup/, /DATA_DIR/);
    assert.doesNotMatch(ended.stderr, /Seeded/);
  }
  await Deno.writeTextFile(file, "");
  assertRefused(await runLauncher(["start"], env), /is missing or empty/);
  await Deno.rename(aside, file);
  assert.equal((await runLauncher(["seed"], env)).code, EXIT.ok);
});

longTest("a used data folder with a database of another one is refused", async () => {
  await using folder = await tempFolder();
  const of = (name: string) => ({ DATA_DIR: `${folder.path}/${name}` });
  for (const name of ["a", "b"]) {
    assert.equal((await runLauncher(["seed"], of(name))).code, EXIT.ok);
  }
  await Deno.copyFile(`${folder.path}/a/troupe.db`, `${folder.path}/b/troupe.db`);
  assertRefused(await runLauncher(["start"], of("b")), /b\/troupe.db is another database/);
});

Deno.test("a killed kernel's data folder without its -wal is refused, and its marker is the way out", async () => {
  await using folder = await tempFolder();
  await useAndKill(folder.path);
  for (const file of ["troupe.db-wal", "troupe.db-shm"]) {
    await Deno.remove(`${folder.path}/${file}`);
  }
  const ended = await runLauncher(["start"], { DATA_DIR: folder.path });
  assertRefused(ended, /latest commits are missing/, /-wal/, /remove/, /database\.json/);
  await Deno.remove(`${folder.path}/database.json`);
  await treesOf(folder.path);
});

longTest("a killed kernel's log may be written back by another program", async () => {
  await using folder = await tempFolder();
  await useAndKill(folder.path);
  const { default: Database } = await import("libsql");
  new Database(`${folder.path}/troupe.db`).close();
  assert.equal(await treesOf(folder.path), 1);
});

longTest("a data folder that was moved as a whole knows its database", async () => {
  await using folder = await tempFolder();
  const [before, after] = [`${folder.path}/before`, `${folder.path}/after`];
  assert.equal((await runLauncher(["seed"], { DATA_DIR: before })).code, EXIT.ok);
  await Deno.rename(before, after);
  assert.equal((await runLauncher(["seed"], { DATA_DIR: after })).code, EXIT.ok);
  await Deno.remove(`${after}/troupe.db`);
  assertRefused(await runLauncher(["start"], { DATA_DIR: after }), /after\/troupe.db/);
});

/** A data folder that was used by a kernel, which then was killed. */
async function usedFolder(folder: string): Promise<void> {
  await using troupe = await startTroupe({ env: { DATA_DIR: folder } });
  const pid = await troupe.kernelPid();
  // The launcher first, or it would start another one.
  Deno.kill(troupe.pid, "SIGKILL");
  Deno.kill(pid, "SIGKILL");
}

longTest(
  "a data folder that has lost its database is refused, and begun anew only when it is told to",
  async () => {
    await using folder = await tempFolder();
    await usedFolder(folder.path);
    for (const name of ["troupe.db", "troupe.db-wal", "troupe.db-shm"]) {
      await Deno.remove(`${folder.path}/${name}`).catch(() => {});
    }
    const refused = await runLauncher(["start"], { DATA_DIR: folder.path });
    assertRefused(refused, /troupe\.db is missing/, /database\.json/);
    assert.equal((await Deno.stat(`${folder.path}/troupe.db`).catch(() => null))?.size ?? 0, 0);
    await Deno.remove(`${folder.path}/database.json`);
    await using _ = await startTroupe({ env: { DATA_DIR: folder.path } });
  },
);

longTest("a copy of the database alone is all that a stopped data folder needs", async () => {
  await using folder = await tempFolder();
  const first = await startTroupe({ env: { DATA_DIR: folder.path } });
  await first.stop();
  for (const name of ["troupe.db-wal", "troupe.db-shm"]) {
    await Deno.remove(`${folder.path}/${name}`).catch(() => {});
  }
  await using _ = await startTroupe({ env: { DATA_DIR: folder.path } });
});
