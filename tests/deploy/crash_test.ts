/** Kills the real kernel at random instants and checks that the journal loses and repeats nothing. */
import assert from "node:assert/strict";
import Database from "libsql";
import agent, { type AgentMessage } from "../../actors/agent.ts";
import { replay } from "../../runtime/core/actor.ts";
import { LONG } from "../support/long.ts";
import { mulberry32 } from "../support/random.ts";
import { until } from "../support/until.ts";

const TASK = "Work out what a two-day workshop for 24 people costs";
const KILLS = LONG ? 50 : 3;

Deno.test(`a kernel killed at ${KILLS} random instants of a breakdown loses nothing and repeats nothing`, async () => {
  const folder = await Deno.makeTempDir({ prefix: "troupe-crash-" });
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  console.log(`crash test with seed ${seed}`);
  const random = mulberry32(seed);
  let kills = 0;
  const finished: string[] = [];
  let kernel = await start(folder);
  let tree = await begin(kernel.url);
  while (kills < KILLS) {
    await delay(random() * 250);
    if (await isOver(kernel.url, tree)) {
      finished.push(tree);
      tree = await begin(kernel.url);
      continue;
    }
    await kernel.kill();
    kills++;
    checkInvariants(`${folder}/troupe.db`);
    kernel = await start(folder);
  }
  await until("the end of the last tree", () => isOver(kernel.url, tree), 60_000);
  finished.push(tree);
  await kernel.kill();
  checkInvariants(`${folder}/troupe.db`);
  checkEnds(`${folder}/troupe.db`, finished);
  console.log(`${kills} kills, ${finished.length} trees`);
  await Deno.remove(folder, { recursive: true });
});

interface Killable {
  readonly url: string;
  kill(): Promise<void>;
}

/** The kernel itself, without a launcher that would start it again. */
async function start(folder: string): Promise<Killable> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--no-check", "--allow-all", "main.ts", "serve"],
    env: { DATA_DIR: folder, PORT: "0" },
    stdin: "piped",
    stdout: "piped",
    // What it complains about is wanted when something fails.
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    assert.ok(!done, `The kernel ended before it was ready: ${text}`);
    text += value;
    const url = /ready on (\S+)\n/.exec(text)?.[1];
    if (!url) continue;
    return {
      url,
      async kill() {
        process.kill("SIGKILL");
        await process.status;
        await reader.cancel();
        await process.stdin.close().catch(() => {});
      },
    };
  }
}

async function begin(url: string): Promise<string> {
  const response = await fetch(`${url}/api/trees`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ instruction: TASK }),
  });
  const tree = await response.json();
  assert.equal(response.status, 201, JSON.stringify(tree));
  return tree.id;
}

async function isOver(url: string, id: string): Promise<boolean> {
  const response = await fetch(`${url}/api/trees/${id}`);
  const { tasks } = await response.json() as { tasks: { ended_at: string | null }[] };
  return tasks.every(({ ended_at }) => ended_at !== null);
}

/** What must hold at every instant. */
function checkInvariants(path: string): void {
  const db = new Database(path);
  const all = (sql: string) => db.prepare(sql).all() as Record<string, unknown>[];
  assert.deepEqual(all("PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
  assert.deepEqual(all("PRAGMA foreign_key_check"), []);
  const none = (what: string, sql: string) => assert.deepEqual(all(sql), [], what);
  none(
    "each call is answered once at the most",
    `SELECT task_id, json_extract(message_json, '$.call_id') AS call, count(*) AS n FROM entries
     WHERE type = 'tool.replied' GROUP BY task_id, call HAVING n > 1`,
  );
  none(
    "a child is started once for a call",
    `SELECT parent_id, call_id FROM tasks WHERE call_id IS NOT NULL
     GROUP BY parent_id, call_id HAVING count(*) > 1`,
  );
  none(
    "each turn is answered once",
    `SELECT task_id, json_extract(message_json, '$.turn') AS turn FROM entries
     WHERE type = 'model.replied' GROUP BY task_id, turn HAVING count(*) > 1`,
  );
  none(
    "a task begins once and ends once",
    `SELECT task_id, type FROM entries WHERE type IN ('task.started', 'task.ended')
     GROUP BY task_id, type HAVING count(*) > 1`,
  );
  none(
    "nothing is settled and still in a mailbox",
    "SELECT id FROM envelopes WHERE id IN (SELECT id FROM entries)",
  );
  none(
    "a task that has not ended has something that will bring it on",
    `SELECT t.id FROM tasks t WHERE t.ended_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM envelopes e WHERE e.to_address = t.id)
      AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.address = t.id AND o.status IN ('pending', 'started'))
      AND NOT EXISTS (SELECT 1 FROM tasks c WHERE c.parent_id = t.id AND c.ended_at IS NULL)`,
  );
  none(
    "an ended task has nothing left over",
    `SELECT t.id FROM tasks t JOIN actors a ON a.address = t.id WHERE t.ended_at IS NOT NULL
      AND (a.status <> 'stopped' OR EXISTS (SELECT 1 FROM envelopes e WHERE e.to_address = t.id))`,
  );
  none("nothing was given up", "SELECT id, reason FROM dead_letters");
  checkReplay(all);
  db.close();
}

/** The journal is the agent: running it again leads to the very state that was written. */
function checkReplay(all: (sql: string) => Record<string, unknown>[]): void {
  const journals = new Map<string, AgentMessage[]>();
  for (
    const row of all("SELECT task_id, message_json FROM entries WHERE received = 1 ORDER BY seq")
  ) {
    const journal = journals.get(row.task_id as string) ?? [];
    journals.set(row.task_id as string, journal);
    journal.push(JSON.parse(row.message_json as string));
  }
  for (const { address, state_json } of all("SELECT address, state_json FROM actors")) {
    if (state_json === null) continue;
    const again = replay(agent, journals.get(address as string) ?? []);
    assert.deepEqual(JSON.parse(state_json as string), JSON.parse(JSON.stringify(again)));
  }
}

/** Every tree came to the same end as without a crash, by as many tasks. */
function checkEnds(path: string, trees: readonly string[]): void {
  const db = new Database(path, { readonly: true });
  for (const id of trees) {
    const [tree] = db.prepare("SELECT status, result FROM trees WHERE id = ?").all([id]);
    assert.deepEqual({ ...tree as object }, {
      status: "done",
      result: "The workshop costs 2420 euros",
    });
    const [count] = db.prepare("SELECT count(*) AS n FROM tasks WHERE tree_id = ?").all([id]);
    assert.equal((count as { n: number }).n, 49);
  }
  db.close();
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
