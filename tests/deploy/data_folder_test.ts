/** What a data folder keeps: through a stop, a kill, a move, and the loss of its database. */
import assert from "node:assert/strict";
import Database from "libsql";
import { EXIT } from "../../runtime/core/exit.ts";
import { begin, done, getJson } from "../support/api.ts";
import { tempFolder } from "../support/folder.ts";
import { longTest, rows } from "../support/long.ts";
import { silentModel } from "../support/silent_model.ts";
import { assertRefused, runLauncher, startTroupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";

/** Of all tests; each shared folder in it is made by the first test that needs it. */
let all: { path: string } & AsyncDisposable;
Deno.test.beforeAll(async () => void (all = await tempFolder()));
Deno.test.afterAll(async () => await all[Symbol.asyncDispose]());

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => made ??= make();
}

const seeded = once(async () => {
  const data_dir = `${all.path}/seeded`;
  return { data_dir, ended: await runLauncher(["seed"], { DATA_DIR: data_dir }) };
});

Deno.test("a seed command seeds once, and a second one writes nothing", async () => {
  const { data_dir, ended: first } = await seeded();
  assert.equal(first.code, EXIT.ok, first.stderr);
  assert.match(first.stderr, /Seeded [1-9]\d* definitions/);
  const second = await runLauncher(["seed"], { DATA_DIR: data_dir });
  assert.equal(second.code, EXIT.ok, second.stderr);
  assert.match(second.stderr, /Seeded 0 definitions/);
});

Deno.test("a used data folder without its database is refused, not seeded anew, until it is back", async () => {
  const { data_dir, ended } = await seeded();
  assert.equal(ended.code, EXIT.ok);
  const env = { DATA_DIR: data_dir };
  const [file, aside] = [`${data_dir}/troupe.db`, `${data_dir}/aside.db`];
  await Deno.rename(file, aside);
  for (const command of rows(["start", "seed"])) {
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

/** A data folder whose kernel was killed while a task was under way and its newest commits stood in the log. */
const killed = once(async () => {
  const data_dir = `${all.path}/killed`;
  await using model = silentModel(once(async () => {
    const { pid, url } = JSON.parse(await Deno.readTextFile(`${data_dir}/holder.json`));
    await until("commits that only the log has", async () => {
      Deno.kill(pid, "SIGCONT");
      await begin(url, { instruction: "Write another one" });
      // A kernel that is idle writes its log back: from here on it does nothing any more.
      Deno.kill(pid, "SIGSTOP");
      return await stampHeard(data_dir) > await stampWithoutLog(data_dir);
    });
    Deno.kill(pid, "SIGKILL");
  }));
  const ended = await runLauncher(["run", "Write a poem about the sea"], {
    DATA_DIR: data_dir,
    ANTHROPIC_BASE_URL: model.url,
  });
  return { data_dir, ended };
});

/** The folder hears of the newest stamp a moment after the commit. */
async function stampHeard(data_dir: string): Promise<number> {
  return JSON.parse(await Deno.readTextFile(`${data_dir}/database.json`))["file:troupe.db"].stamp;
}

async function stampWithoutLog(data_dir: string): Promise<number> {
  const alone = `${data_dir}/alone.db`;
  await Deno.copyFile(`${data_dir}/troupe.db`, alone);
  const db = new Database(alone, { readonly: true });
  const { stamp } = db.prepare("SELECT stamp FROM identity").get([]) as { stamp: number };
  db.close();
  return stamp;
}

Deno.test("a run whose kernel is killed says so in one sentence", async () => {
  const { ended: { code, stderr } } = await killed();
  assert.equal(code, EXIT.failed, stderr);
  assert.match(stderr, /^The kernel died \(signal SIGKILL\): what was begun goes on/m);
  assert.doesNotMatch(stderr, / {4}at |Uncaught/);
});

Deno.test("a killed kernel's data folder without its -wal is refused, and its marker is the way out", async () => {
  const { data_dir } = await killed();
  const env = { DATA_DIR: data_dir };
  for (const file of ["troupe.db-wal", "troupe.db-shm"]) await Deno.remove(`${data_dir}/${file}`);
  const ended = await runLauncher(["start"], env);
  assertRefused(ended, /latest commits are missing/, /-wal/, /remove/, /database\.json/);
  await Deno.remove(`${data_dir}/database.json`);
  assert.equal((await runLauncher(["seed"], env)).code, EXIT.ok);
});

/** Starts in a data folder, has a task done, and ends it without a word, as a power cut would. */
async function useAndKill(data_dir: string): Promise<void> {
  const troupe = await startTroupe({ env: { DATA_DIR: data_dir } });
  const kernel = await troupe.kernelPid();
  await done(troupe.url, { instruction: "Compute 1 + 1" });
  await until("a stamp", async () => await stampHeard(data_dir) > 1);
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

longTest("a killed kernel's log may be written back by another program", async () => {
  await using folder = await tempFolder();
  await useAndKill(folder.path);
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
