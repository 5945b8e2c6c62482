/** Every effect ends, whatever goes wrong while its outcome is written down: over the real store. */
import assert from "node:assert/strict";
import { addEffect, openEffects, openEffectsOf } from "../../db/outbox.ts";
import type { Store } from "../../db/store.ts";
import { addTask } from "../../db/tasks.ts";
import type { Unit, UnitResult } from "../../db/unit.ts";
import { chargeFor } from "../../runtime/commands/account.ts";
import type { Outcome, Performers } from "../../runtime/commands/outcome.ts";
import type { Claim } from "../../runtime/core/delivery.ts";
import { ATTEMPTS_MAX, RETRY_MAX_MS } from "../../runtime/core/limits.ts";
import { NO_USAGE } from "../../runtime/core/model/messages.ts";
import type { Effect, Message } from "../../runtime/core/protocol.ts";
import { NotAllowed, NotThere } from "../../runtime/core/refusal.ts";
import { EffectOutbox } from "../../runtime/outbox/outbox.ts";
import { ulids } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";
import { until } from "../support/until.ts";

const CHILD: Effect = {
  type: "start_child",
  agent: "generalist",
  purpose: "subtask",
  instruction: "Work",
};
const TURN: Effect = { type: "ask_model", turn: 1 };

let db: TempStore;
Deno.test.beforeAll(async () => void (db = await tempStore({ seeded: true })));
Deno.test.afterAll(async () => await db[Symbol.asyncDispose]());

/** A task with one effect, and a world in which the test breaks what it likes. */
async function world(effect: Effect) {
  const { tree_id, root_id } = await addTestTree(db);
  await db.commit([{ sql: "DELETE FROM envelopes", parameters: [] }]);
  const key = ulids.next();
  const effect_json = JSON.stringify(effect);
  await db.commit([
    addEffect({ key, tree_id, address: root_id, effect_json, now: 1 }),
  ]);
  const clock = new HandClock();
  const lines: string[] = [];
  const dropped: string[] = [];
  const broken = {
    /** Called before each read and each commit; what it throws, they throw. */
    read: () => {},
    commit: (_: Unit): UnitResult | null | Promise<UnitResult | null> => null,
    wake: () => {},
    perform: () => {},
  };
  const counts = { performed: 0 };
  const outcome: { next: Outcome } = {
    next: {
      type: "commanded",
      command: {
        ...{ verb: "start_child", agent: "generalist", purpose: "subtask", instruction: "Work" },
        ...{ parent_id: root_id, call_id: null, effect_key: key },
      },
    },
  };
  const perform = () => {
    counts.performed++;
    broken.perform();
    return Promise.resolve(outcome.next);
  };
  const read = new Proxy(db.store.read, {
    get(target, name) {
      if (name === "selectFrom") broken.read();
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const store: Store = {
    ...db.store,
    commit: async (unit) => await broken.commit(unit) ?? await db.store.commit(unit),
  };
  const ports = {
    store,
    read,
    clock,
    ids: ulids,
    timeout_seconds: 60,
    news: { publish: () => {} },
    loop: {
      wake: () => broken.wake(),
      drop: (addresses: readonly string[]) => void dropped.push(...addresses),
      expect: () => {},
    },
    log: (line: string) => void lines.push(line),
  };
  const performers: Performers = {
    // No tool is called here.
    tools: {} as Performers["tools"],
    ask_model: perform,
    start_child: perform,
  };
  const rowOf = () =>
    db.store.read.selectFrom("outbox").selectAll().where("key", "=", key)
      .executeTakeFirstOrThrow();
  const open = async () => {
    const looking = openEffects({ address: root_id });
    const rows = (await db.commit([looking])).of(looking);
    // The outbox wants no proof of a claim.
    return openEffectsOf(rows, { address: root_id, tree_id } as Claim);
  };
  return {
    ...{ key, tree_id, root_id, clock, lines, dropped, broken, counts, outcome, rowOf, open },
    /** Has the effect performed until nothing is left to do, by an outbox of its own. */
    async perform() {
      const outbox = new EffectOutbox(ports, performers);
      const [due] = await open();
      const runnable = { address: root_id, tree_id, priority: 5, urgent: false };
      let rejected: Error | null | undefined;
      outbox.perform(due, runnable).then(() => rejected = null, (error) => rejected = error);
      await until("the effect's end", () => {
        clock.advance(RETRY_MAX_MS);
        return rejected !== undefined;
      });
      assert.equal(rejected, null);
    },
    begin() {
      const outbox = new EffectOutbox(ports, performers);
      const runnable = { address: root_id, tree_id, priority: 5, urgent: false };
      return {
        stop: () => outbox.stop(),
        abort: () => outbox.abort(root_id),
        performing: open().then(([due]) => outbox.perform(due, runnable)),
      };
    },
    async told(): Promise<Message[]> {
      const rows = await db.store.read.selectFrom("envelopes").select("message_json")
        .where("to_address", "=", root_id).orderBy("seq").execute();
      return rows.map(({ message_json }) => JSON.parse(message_json));
    },
    task: () =>
      db.store.read.selectFrom("tasks").selectAll().where("id", "=", root_id)
        .executeTakeFirstOrThrow(),
    children: () =>
      db.store.read.selectFrom("tasks").select("id").where("parent_id", "=", root_id).execute(),
    letters: () =>
      db.store.read.selectFrom("dead_letters").selectAll().where("address", "=", root_id).execute(),
  };
}

type World = Awaited<ReturnType<typeof world>>;

/** Whether a unit writes an outcome down, or only counts. */
const closes = (unit: Unit) => unit.some(({ sql }) => sql.includes("done_at"));
const encloses = (unit: Unit, words: string) => unit.some(({ sql }) => sql.includes(words));

/** What may go wrong while the outcome of a child's start is made into a unit or committed. */
const ERRORS: [what: string, fail: (world: World, fails: () => boolean) => void][] = [
  ...([
    ["a read that fails", () => new Error("The database failed: disk I/O error")],
    ["something that is not there", () => new NotThere("tree", "x")],
    ["something that is not allowed", () => new NotAllowed("task:x may not begin")],
    ["a bug in a verb", () => new TypeError("undefined is not a function")],
    ["something thrown that is no error", () => "oops\0"],
  ] as const).map(([what, error]): typeof ERRORS[number] => [what, ({ broken }, fails) => {
    broken.read = () => {
      if (fails()) throw error();
    };
  }]),
  ["a commit whose outcome nobody knows", ({ broken }, fails) => {
    broken.commit = (unit) => {
      if (encloses(unit, 'into "tasks"') && fails()) throw new Error("The store is gone");
      return null;
    };
  }],
  ["a commit that fails", ({ broken }, fails) => {
    broken.commit = (unit) =>
      encloses(unit, 'into "tasks"') && fails()
        ? { ok: false, refused: false, reason: "unsupported type for binding" }
        : null;
  }],
];

for (const [what, fail] of ERRORS) {
  Deno.test(`${what} for ever ends its effect: after three attempts its actor is told`, async () => {
    const one = await world(CHILD);
    fail(one, () => true);
    await one.perform();
    const { status, attempts } = await one.rowOf();
    assert.deepEqual([status, attempts], ["done", ATTEMPTS_MAX]);
    const [told, ...more] = await one.told();
    assert.equal(told.type, "child.ended");
    assert.match(String(told.reason), /^Its outcome cannot be written down: \w/);
    assert.deepEqual(more, []);
    assert.deepEqual(await one.children(), []);
    assert.equal((await one.task()).ended_at, null);
    assert.equal(one.counts.performed, 1);
    assert.equal(one.lines.length, ATTEMPTS_MAX);
  });

  Deno.test(`${what} that passes after two attempts costs nothing but these`, async () => {
    const one = await world(CHILD);
    // Each is told in a line.
    fail(one, () => one.lines.length < 2);
    await one.perform();
    const { status, attempts } = await one.rowOf();
    assert.deepEqual([status, attempts], ["done", 2], one.lines.join("\n"));
    assert.equal((await one.children()).length, 1);
    assert.deepEqual(await one.told(), []);
  });
}

Deno.test("a reply that the database refuses is told as a failure, with what the call cost", async () => {
  const one = await world(TURN);
  replies(one, "Hello");
  await db.commit([{
    sql: `CREATE TRIGGER no_reply BEFORE INSERT ON envelopes
      WHEN NEW.type = 'model.replied' AND NEW.to_address = '${one.root_id}'
      BEGIN SELECT RAISE(ABORT, 'no such words'); END`,
    parameters: [],
  }]);
  await one.perform();
  const [told] = await one.told();
  assert.equal(told.type, "model.failed");
  assert.match(String(told.reason), /no such words/);
  assert.equal((await one.task()).output_tokens, 7);
  assert.equal(one.counts.performed, 1);
});

Deno.test("an outcome that cannot even be told is buried with what the call cost, and its task fails", async () => {
  const one = await world(TURN);
  replies(one, "Hello");
  await db.commit([{
    sql: `CREATE TRIGGER deaf BEFORE INSERT ON envelopes WHEN NEW.to_address = '${one.root_id}'
      BEGIN SELECT RAISE(ABORT, 'nobody can be told'); END`,
    parameters: [],
  }]);
  await one.perform();
  const [letter] = await one.letters();
  assert.equal(letter.id, one.key);
  assert.equal(letter.attempts, ATTEMPTS_MAX + 1);
  assert.match(letter.reason, /cannot be delivered: nobody can be told/);
  const task = await one.task();
  assert.deepEqual([task.status, task.reason], ["failed", letter.reason]);
  assert.equal(task.output_tokens, 7);
  assert.deepEqual(one.dropped, [one.root_id]);
  assert.equal((await one.rowOf()).status, "done");
});

Deno.test("a task whose effect is buried takes along all that is below it", async () => {
  const one = await world(TURN);
  const { id: parent_id, ...task } = await one.task();
  const child = ulids.next();
  const below = { ...task, id: child, parent_id, effect_key: null, purpose: "subtask" } as const;
  await db.commit(addTask(below, "agent", 1));
  replies(one, "Hello");
  await db.commit([{
    sql: `CREATE TRIGGER deafer BEFORE INSERT ON envelopes WHEN NEW.to_address = '${one.root_id}'
      BEGIN SELECT RAISE(ABORT, 'nobody can be told'); END`,
    parameters: [],
  }]);
  await one.perform();
  const [{ status }] = await db.store.read.selectFrom("tasks").select("status")
    .where("id", "=", child).execute();
  assert.equal(status, "cancelled");
  assert.deepEqual(new Set(one.dropped), new Set([one.root_id, child]));
});

for (const known of [true, false]) {
  const how = known ? "the database refuses" : "nobody knows the outcome of";
  Deno.test(`an effect whose burial ${how} is closed alone, with what it cost`, async () => {
    const one = await world(TURN);
    replies(one, "Hello");
    one.broken.commit = (unit) =>
      encloses(unit, 'into "envelopes"') || encloses(unit, "dead_letters")
        ? { ok: false, refused: known, reason: "not like this" }
        : null;
    await one.perform();
    assert.equal((await one.rowOf()).status, "done");
    assert.deepEqual(await one.letters(), []);
    const { ended_at, output_tokens } = await one.task();
    assert.deepEqual([ended_at, output_tokens], [null, 7]);
    assert.equal(one.counts.performed, 1);
  });
}

Deno.test("attempts are counted over a restart: three kernels have one each, and the third tells", async () => {
  const one = await world(CHILD);
  one.broken.read = () => {
    throw new Error("The database failed: disk I/O error");
  };
  for (const attempt of [1, 2]) {
    const kernel = one.begin();
    await until("its attempt", async () => (await one.rowOf()).attempts === attempt);
    await kernel.stop();
    await kernel.performing;
    assert.equal((await one.open()).length, 1);
  }
  await one.perform();
  assert.equal((await one.rowOf()).attempts, ATTEMPTS_MAX);
  assert.equal((await one.told()).length, 1);
});

Deno.test("an effect that came to nothing three times before this start is buried and not performed", async () => {
  const one = await world(CHILD);
  await db.commit([{
    sql: "UPDATE outbox SET attempts = ? WHERE key = ?",
    parameters: [ATTEMPTS_MAX, one.key],
  }]);
  await one.perform();
  assert.equal(one.counts.performed, 0);
  const [{ reason }] = await one.letters();
  assert.match(reason, /^3 attempts at start_child came to nothing: the kernel died meanwhile/);
  assert.equal((await one.task()).status, "failed");
});

Deno.test("a store that takes nothing for long is waited for: nothing is counted, and the reply is kept", async () => {
  const one = await world(TURN);
  replies(one, "Hello");
  let failed = 0;
  one.broken.commit = () => {
    if (failed === 20) return null;
    failed++;
    return { ok: false, refused: false, reason: "database or disk is full" };
  };
  await one.perform();
  assert.equal(failed, 20);
  const { status, attempts } = await one.rowOf();
  assert.deepEqual([status, attempts], ["done", 0]);
  assert.equal((await one.told())[0].type, "model.replied");
});

Deno.test("a reply that was written down when the store said that it failed is charged once", async () => {
  const one = await world(TURN);
  replies(one, "Hello");
  let lied = false;
  one.broken.commit = async (unit) => {
    if (lied || !closes(unit)) return null;
    lied = true;
    await db.commit(unit);
    return { ok: false, refused: false, reason: "disk I/O error" };
  };
  await one.perform();
  assert.ok(lied);
  assert.equal((await one.told()).length, 1);
  assert.equal((await one.task()).output_tokens, 7);
});

Deno.test("a commit of which nobody could be told is not made a second time", async () => {
  const one = await world(TURN);
  replies(one, "Hello");
  one.broken.wake = () => {
    throw new Error("a bug in the loop");
  };
  await one.perform();
  assert.equal((await one.told()).length, 1);
  assert.equal((await one.task()).output_tokens, 7);
});

Deno.test("what a call cost is written down when its task ends while its outcome cannot be", async () => {
  const one = await world(TURN);
  replies(one, "Hello");
  let failed = false;
  one.broken.commit = async (unit) => {
    if (failed || !closes(unit)) return null;
    failed = true;
    await db.commit([{
      sql: "UPDATE tasks SET status = 'cancelled', ended_at = 2 WHERE id = ?",
      parameters: [one.root_id],
    }]);
    return { ok: false, refused: false, reason: "disk I/O error" };
  };
  await one.perform();
  assert.equal((await one.rowOf()).status, "dropped");
  assert.equal((await one.task()).output_tokens, 7);
});

Deno.test("a call that is called off in the moment of its reply is paid, and is made again later", async () => {
  const one = await world(TURN);
  replies(one, "Hello");
  const kernel = one.begin();
  one.broken.perform = kernel.abort;
  await kernel.performing;
  assert.equal((await one.rowOf()).status, "pending");
  assert.deepEqual(await one.told(), []);
  assert.equal((await one.task()).output_tokens, 7);
});

Deno.test("a question that is refused is not asked for ever", async () => {
  const one = await world(CHILD);
  one.outcome.next = { type: "held", question: null };
  one.broken.commit = (unit) =>
    encloses(unit, "asked_by_key") ? { ok: false, refused: true, reason: "not now" } : null;
  await one.perform();
  assert.equal(one.counts.performed, ATTEMPTS_MAX);
  assert.match(String((await one.told())[0].reason), /not now/);
});

Deno.test("an effect that nobody knows how to perform is not performed for ever", async () => {
  // Of a later version of the program, say.
  const one = await world({ type: "sing" } as unknown as Effect);
  await one.perform();
  assert.match((await one.letters())[0].reason, /^sing cannot be performed: /);
  assert.equal((await one.task()).status, "failed");
});

/** The model answers with these words; its call has used seven tokens. */
function replies({ outcome, key, root_id }: World, text: string): void {
  const usage = { ...NO_USAGE, output_tokens: 7 };
  outcome.next = {
    type: "replied",
    reply: { type: "model.replied", turn: 1, text },
    anyway: chargeFor({ key, task_id: root_id }, { model: "m", usage, cost_nano: 7 }),
  };
}
