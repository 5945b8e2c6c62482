/** The ladder over the real store, with the clock moved by hand: what runs and who holds it is played. */
import assert from "node:assert/strict";
import { actorProgresses, advanceActor, claimActor, releaseActor } from "../../db/actors.ts";
import { enqueue, removeEnvelope, takeFirst } from "../../db/envelopes.ts";
import { callStuck } from "../../db/ladder.ts";
import { openStore, type Store } from "../../db/store.ts";
import { releaseNode, taskRuns, taskWaits } from "../../db/tasks.ts";
import type { Unit } from "../../db/unit.ts";
import { climb, type LadderEvent, type Rung, type Standing } from "../../runtime/core/ladder.ts";
import {
  LEASE_MS,
  STUCK_GRACE_MS,
  STUCK_LADDER_LOOK_MS,
  STUCK_RESOLVED_MS,
} from "../../runtime/core/limits.ts";
import type { Address } from "../../runtime/core/protocol.ts";
import { LadderLook } from "../../runtime/loop/ladder.ts";
import { ulids } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";

const OWNER = "test";
/** Of a tree's tasks; the seeded agents have none of their own. */
const TIMEOUT_S = 60;

/** A loop of one look, over a store that may be opened anew. */
class Loop {
  readonly clock = new HandClock();
  readonly woken: Address[] = [];
  readonly dropped: Address[] = [];
  store: Store;
  #look!: LadderLook;

  constructor(readonly db: TempStore) {
    this.store = db.store;
    this.#begin();
  }

  #begin(): void {
    this.#look = new LadderLook({
      store: this.store,
      clock: this.clock,
      ids: ulids,
      news: { publish: () => {} },
      loop: {
        wake: ({ address }) => void this.woken.push(address),
        drop: (addresses) => void this.dropped.push(...addresses),
        expect: () => {},
      },
      timeout_seconds: TIMEOUT_S,
      check_interval_ms: 60_000,
    });
  }

  async commit(unit: Unit): Promise<void> {
    const result = await this.store.commit(unit);
    assert.ok(result.ok, result.ok ? "" : result.reason);
  }

  /** The kernel is killed, and another one starts over its database. */
  async killed(): Promise<void> {
    this.store.crash();
    this.store = await openStore(this.db.url);
    await this.commit(releaseNode(OWNER));
    this.#begin();
  }

  /** A new tree whose root has begun; its first envelope is answered already. */
  async running(): Promise<Address> {
    const { root_id } = await addTestTree(this.db, { timeout_seconds: TIMEOUT_S });
    await this.claim(root_id);
    const { id } = await this.store.read.selectFrom("envelopes").select("id")
      .where("to_address", "=", root_id).executeTakeFirstOrThrow();
    await this.commit([removeEnvelope({ id })]);
    return root_id;
  }

  async claim(address: Address): Promise<void> {
    const now = this.clock.now();
    await this.commit([
      claimActor({ address, owner: OWNER, now, lease_until: now + LEASE_MS }),
      takeFirst({ address, now }),
      taskRuns({ id: address, now }),
    ]);
  }

  /** Lets go of an actor that has nothing to do now. */
  async passivate(address: Address): Promise<void> {
    const { epoch } = await this.actor(address);
    await this.commit([releaseActor({ address, epoch }), taskWaits({ id: address })]);
  }

  /** Lets time go by with every look that the ladder wants; whoever is held stays held. */
  async pass(ms: number, every_ms = STUCK_LADDER_LOOK_MS): Promise<void> {
    for (let gone = 0; gone < ms; gone += every_ms) {
      this.clock.advance(Math.min(every_ms, ms - gone));
      await this.commit([renew(this.clock.now() + LEASE_MS)]);
      this.#look.expect(0);
      await this.#look.look();
    }
  }

  actor(address: Address) {
    return this.store.read.selectFrom("actors").selectAll()
      .where("address", "=", address).executeTakeFirstOrThrow();
  }

  task(id: Address) {
    return this.store.read.selectFrom("tasks").selectAll()
      .where("id", "=", id).executeTakeFirstOrThrow();
  }

  supervisors(id: Address) {
    return this.store.read.selectFrom("tasks").selectAll()
      .where("parent_id", "=", id).where("purpose", "=", "supervision").execute();
  }

  async mail(address: Address): Promise<{ type: string; text?: string }[]> {
    const rows = await this.store.read.selectFrom("envelopes").select("message_json")
      .where("to_address", "=", address).orderBy("seq").execute();
    return rows.map(({ message_json }) => JSON.parse(message_json));
  }

  /** Up to a rung, through those below it. */
  async upTo(rung: "reminded" | "supervised"): Promise<Address> {
    const id = await this.running();
    await this.pass(TIMEOUT_S * 1000, 10_000);
    if (rung === "supervised") await this.pass(STUCK_GRACE_MS);
    assert.equal((await this.actor(id)).rung, rung);
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.db[Symbol.asyncDispose]();
  }
}

function renew(lease_until: number) {
  return {
    sql: "UPDATE actors SET lease_until = ? WHERE owner = ?",
    parameters: [lease_until, OWNER],
  };
}

async function begin(): Promise<Loop> {
  return new Loop(await tempStore({ seeded: true }));
}

Deno.test("reminded: a task without progress for its timeout gets a nudge that says for how long", async () => {
  await using loop = await begin();
  const id = await loop.running();
  await loop.pass(TIMEOUT_S * 1000 - 1_000, 1_000);
  assert.deepEqual(await loop.mail(id), []);
  await loop.pass(1_000);
  assert.deepEqual(await loop.mail(id), [{
    type: "nudge",
    text: "There was no progress for 60 s. Go on with your task, or end it.",
  }]);
  assert.deepEqual(loop.woken, [id]);
  assert.equal((await loop.actor(id)).rung, "reminded");
});

Deno.test("supervised: a task that a reminder did not move gets a supervisor that reads its journal", async () => {
  await using loop = await begin();
  const id = await loop.upTo("supervised");
  const [supervisor, ...others] = await loop.supervisors(id);
  assert.deepEqual(others, []);
  assert.equal(supervisor.agent, "supervisor");
  assert.match(supervisor.instruction, /no progress for 65 s and was reminded once\.\n<stuck_task/);
  assert.deepEqual(loop.woken, [id, supervisor.id]);
});

Deno.test("ended: a stuck task that nobody resolves ends a minute after it was detected, with its supervisor", async () => {
  await using loop = await begin();
  const id = await loop.upTo("reminded");
  const detected_at = loop.clock.now();
  await loop.pass(STUCK_RESOLVED_MS - STUCK_LADDER_LOOK_MS);
  assert.equal((await loop.task(id)).ended_at, null);
  await loop.pass(STUCK_LADDER_LOOK_MS);
  const { status, reason, ended_at } = await loop.task(id);
  assert.deepEqual({ status, reason }, {
    status: "failed",
    reason: "Stuck: no progress for 120 s, and nobody resolved it",
  });
  assert.equal(ended_at, detected_at + STUCK_RESOLVED_MS);
  const [supervisor] = await loop.supervisors(id);
  assert.equal(supervisor.status, "cancelled");
  assert.ok(loop.dropped.includes(id) && loop.dropped.includes(supervisor.id));
});

Deno.test("called: a task that says itself that it is stuck gets a supervisor without a reminder", async () => {
  await using loop = await begin();
  const id = await loop.running();
  await loop.commit([callStuck({ address: id, now: loop.clock.now() })]);
  await loop.passivate(id);
  assert.equal((await loop.actor(id)).rung, "called");
  await loop.pass(STUCK_LADDER_LOOK_MS);
  assert.equal((await loop.actor(id)).rung, "supervised");
  assert.deepEqual(await loop.mail(id), []);
  const [supervisor] = await loop.supervisors(id);
  assert.match(
    supervisor.instruction,
    /^Decide about a stuck task: it says itself that it is stuck/,
  );
});

Deno.test("called: the time that a task has to its end goes on over a kill of the kernel", async () => {
  await using loop = await begin();
  const id = await loop.running();
  await loop.commit([callStuck({ address: id, now: loop.clock.now() })]);
  // Killed before its owner let go of it, and once more on the next rung.
  await loop.killed();
  await loop.pass(STUCK_RESOLVED_MS / 2);
  assert.equal((await loop.actor(id)).rung, "supervised");
  await loop.killed();
  await loop.pass(STUCK_RESOLVED_MS / 2 - STUCK_LADDER_LOOK_MS);
  assert.equal((await loop.task(id)).ended_at, null);
  await loop.pass(STUCK_LADDER_LOOK_MS);
  assert.match((await loop.task(id)).reason!, /^Stuck: .* and nobody resolved it$/);
});

Deno.test("after a kill with sixty running tasks and one slot nobody who waits for it fails as stuck", async () => {
  await using loop = await begin();
  const ids: Address[] = [];
  for (let n = 0; n < 60; n++) {
    const id = await loop.running();
    ids.push(id);
    const message = { type: "hint", text: "There is something to do" };
    const { tree_id } = await loop.task(id);
    await loop.commit([
      enqueue({ id: ulids.next(), tree_id, to: id, from: "test", message }, loop.clock.now()),
    ]);
  }
  // Some stand on a rung already when it happens.
  const now = loop.clock.now();
  for (const id of ids.slice(0, 20)) await loop.commit([actorProgresses({ address: id, now })]);
  await loop.pass(TIMEOUT_S * 1000 + STUCK_GRACE_MS, 5_000);
  const began = (await loop.task(ids[0])).started_at;
  await loop.killed();
  for (const id of ids) {
    const { status, started_at } = await loop.task(id);
    assert.deepEqual({ status, begun: started_at !== null }, { status: "queued", begun: true });
  }
  assert.equal((await loop.task(ids[0])).started_at, began);

  // One after the other has the slot for half its timeout, while the others wait for hours.
  for (let turn = 0; turn < 240; turn++) {
    const id = ids[turn % ids.length];
    await loop.claim(id);
    await loop.pass(TIMEOUT_S * 1000 / 2, 15_000);
    await loop.passivate(id);
    // It has something to do again.
    const { tree_id } = await loop.task(id);
    const message = { type: "hint", text: "And again" };
    await loop.commit([
      enqueue({ id: ulids.next(), tree_id, to: id, from: "test", message }, loop.clock.now()),
    ]);
  }
  const reasons = await loop.store.read.selectFrom("tasks").select(["id", "reason"])
    .where("ended_at", "is not", null).where("purpose", "<>", "supervision").execute();
  assert.deepEqual(reasons, []);
  for (const id of ids) assert.equal((await loop.actor(id)).rung, "none");
});

Deno.test("a task whose model is heard while it is reminded or supervised leaves the ladder", async () => {
  for (const rung of ["reminded", "supervised"] as const) {
    await using loop = await begin();
    const id = await loop.upTo(rung);
    for (let heard = 0; heard < STUCK_RESOLVED_MS * 2; heard += 5_000) {
      await loop.commit([actorProgresses({ address: id, now: loop.clock.now() })]);
      assert.equal((await loop.actor(id)).rung, "none");
      await loop.pass(5_000);
    }
    assert.equal((await loop.task(id)).status, "running");
    assert.deepEqual((await loop.mail(id)).map(({ type }) => type), ["nudge"]);
  }
});

Deno.test("a stuck task that is claimed begins anew: its next reminder counts from the claim", async () => {
  await using loop = await begin();
  const id = await loop.upTo("supervised");
  await loop.killed();
  await loop.claim(id);
  await loop.pass(TIMEOUT_S * 1000 - 1_000, 1_000);
  const { rung, stuck_at } = await loop.actor(id);
  assert.deepEqual({ rung, stuck_at }, { rung: "none", stuck_at: null });
  await loop.pass(1_000);
  assert.equal((await loop.mail(id)).at(-1)!.text!.match(/for \d+ s/)![0], "for 60 s");
});

Deno.test("a task that got to rest after its reminder waits for others, and that is not being stuck", async () => {
  await using loop = await begin();
  const id = await loop.upTo("reminded");
  for (const { type } of await loop.mail(id)) assert.equal(type, "nudge");
  await loop.commit([{ sql: "DELETE FROM envelopes WHERE to_address = ?", parameters: [id] }]);
  await loop.passivate(id);
  await loop.pass(STUCK_RESOLVED_MS * 2, 5_000);
  assert.equal((await loop.task(id)).status, "waiting");
  assert.deepEqual(await loop.supervisors(id), []);
});

Deno.test("a task that went on between the look and the commit does not climb", async () => {
  await using loop = await begin();
  const id = await loop.running();
  const { store } = loop;
  // Its model is heard while the reminder is on its way.
  loop.store = {
    ...store,
    commit: async (unit) => {
      await store.commit([actorProgresses({ address: id, now: loop.clock.now() })]);
      return await store.commit(unit);
    },
  };
  const look = new LadderLook({
    store: loop.store,
    clock: loop.clock,
    ids: ulids,
    news: { publish: () => {} },
    loop: { wake: () => {}, drop: () => {}, expect: () => {} },
    timeout_seconds: TIMEOUT_S,
    check_interval_ms: 60_000,
  });
  loop.clock.advance(TIMEOUT_S * 1000);
  await store.commit([renew(loop.clock.now() + LEASE_MS)]);
  await look.look();
  assert.deepEqual(await loop.mail(id), []);
  assert.equal((await loop.actor(id)).rung, "none");
});

Deno.test("a task without room for a supervisor in its tree ends, and says so", async () => {
  await using loop = await begin();
  const { root_id: id } = await addTestTree(loop.db, {
    timeout_seconds: TIMEOUT_S,
    budget: { tasks: 1 },
  });
  await loop.claim(id);
  await loop.pass(TIMEOUT_S * 1000 + STUCK_GRACE_MS, 5_000);
  assert.match((await loop.task(id)).reason!, /^Stuck: no progress for 65 s \(.*has 1 tasks/);
});

Deno.test("what the database makes of an event is what the ladder says about it, from every rung", async () => {
  await using loop = await begin();
  const id = await loop.running();
  const now = loop.clock.now() + 1_000;
  const events: [LadderEvent, (epoch: number) => Unit][] = [
    [{ type: "moved", now }, () => [actorProgresses({ address: id, now })]],
    [
      { type: "moved", now },
      () => [advanceActor({ address: id, state_json: "{}", lease_until: now, now })],
    ],
    [
      { type: "moved", now },
      () => [claimActor({ address: id, owner: OWNER, now, lease_until: now })],
    ],
    [{ type: "released" }, (epoch) => [releaseActor({ address: id, epoch })]],
    [{ type: "released" }, () => releaseNode(OWNER)],
    [{ type: "called", now }, () => [callStuck({ address: id, now })]],
  ];
  const at = { progress_at: 1, detected_at: 2, since: 3 };
  for (const rung of ["none", "reminded", "called", "supervised"] as const) {
    for (const [event, unit] of events) {
      const before: Standing = rung === "none" ? { rung, progress_at: 1 } : { rung, ...at };
      await loop.commit([put(id, before)]);
      await loop.commit(unit((await loop.actor(id)).epoch));
      assert.deepEqual(standing(await loop.actor(id)), climb(before, event).state, rung);
    }
  }
});

function put(address: Address, standing: Standing) {
  const on = standing.rung === "none" ? null : standing;
  return {
    sql: `UPDATE actors SET owner = ?, rung = ?, progress_at = ?, stuck_at = ?, rung_at = ?
      WHERE address = ?`,
    parameters: [
      OWNER,
      standing.rung,
      standing.progress_at,
      on?.detected_at ?? null,
      on?.since ?? null,
      address,
    ],
  };
}

function standing(
  row: { rung: Rung; progress_at: number; stuck_at: number | null; rung_at: number | null },
): Standing {
  const { rung, progress_at } = row;
  if (rung !== "none") {
    return { rung, progress_at, detected_at: row.stuck_at!, since: row.rung_at! };
  }
  assert.deepEqual([row.stuck_at, row.rung_at], [null, null]);
  return { rung, progress_at };
}
