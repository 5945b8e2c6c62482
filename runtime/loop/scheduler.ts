/**
 * Runs actors. Claims the mailbox of whoever is next, hands its envelope to a worker, settles what
 * comes back, has the effects performed, and passivates an actor that has nothing left to do now.
 */
import { claimActor, releaseActor, renewLeases } from "../../db/actors.ts";
import { buryEnvelope } from "../../db/dead_letters.ts";
import { hasDue, putBack, takeFirst, type Taken } from "../../db/envelopes.ts";
import { CLAIM_LOST } from "../../db/entries.ts";
import { openEffects } from "../../db/outbox.ts";
import type { Store } from "../../db/store.ts";
import { endTask, taskRuns, taskWaits } from "../../db/tasks.ts";
import { treeRuns } from "../../db/trees.ts";
import type { Row } from "../../db/unit.ts";
import { afterFailure } from "../core/delivery.ts";
import { LEASE_MS, LEASE_RENEW_MS, RETRY_MAX_MS, STOP_GRACE_MS } from "../core/limits.ts";
import type { Address, Effect } from "../core/protocol.ts";
import { type Runnable, Schedule } from "../core/schedule.ts";
import type { Events } from "../passing/events.ts";
import type { Step } from "../cells/frames.ts";
import type { Cells, Clock, Fault, Ids, Log, Outbox } from "../ports.ts";
import { type Claim, settle } from "./settle.ts";
import type { OpenEffect } from "../core/protocol.ts";
import type { Child } from "../ports.ts";

/** An actor that holds a slot. */
interface Activation {
  readonly runnable: Runnable;
  readonly claim: Claim;
  readonly kind: string;
  /** The state that was last committed, as JSON. */
  state: string | null;
  worker: number | null;
  /** What the worker has been handed. */
  envelope: { readonly id: string; readonly type: string; readonly attempts: number } | null;
  /** It was there when a cell failed: it is tried again in a cell of its own. */
  suspect: boolean;
  /** Its answer is being committed: whatever becomes of the worker now changes nothing about that. */
  settling: boolean;
  /** Slot-holding effects under way. */
  performing: number;
  /** A claim of the next envelope is under way; another is asked for after it when `again`. */
  taking: boolean;
  again: boolean;
}

export interface SchedulerParts {
  readonly store: Store;
  readonly cells: Cells;
  readonly performing: Outbox;
  readonly events: Events;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** This node, as the owner of claims. */
  readonly owner: string;
  /** Called when an actor says that it is stuck. */
  readonly onStuck: () => void;
  /** How many actors may run at once. */
  readonly slots: number;
}

export class Scheduler implements Child {
  readonly gone: Promise<string | null>;
  readonly #parts: SchedulerParts;
  readonly #schedule = new Schedule();
  readonly #active = new Map<Address, Activation>();
  readonly #workers = new Map<number, Activation>();
  /** Actors being claimed or passivated, with a call for them that came meanwhile. */
  readonly #moving = new Map<Address, Runnable | null>();
  /** Running actors that count against the slots. */
  #counted = 0;
  #stopping = false;
  #end!: (reason: string | null) => void;
  #callOffRenewal = () => {};

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.gone = new Promise((resolve) => this.#end = resolve);
    parts.cells.onStep = (worker, step) => this.#onStep(worker, step);
    parts.cells.onFailure = (worker, reason, fault) => this.#onFailure(worker, reason, fault);
    this.#renew();
  }

  /** What runs and what waits for a slot. */
  get load(): { running: number; runnable: number; slots: number } {
    return { running: this.#active.size, runnable: this.#schedule.size, slots: this.#parts.slots };
  }

  /** Says that an actor has an envelope or an effect that is due. */
  wake(runnable: Runnable): void {
    if (this.#stopping) return;
    const active = this.#active.get(runnable.address);
    if (active) this.#takeNext(active);
    else if (this.#moving.has(runnable.address)) this.#moving.set(runnable.address, runnable);
    else if (runnable.urgent) this.#claim(runnable);
    else {
      this.#schedule.add(runnable);
      this.#pump();
    }
  }

  /** Takes ended actors off their workers: their claims are void already. */
  drop(addresses: Iterable<Address>): void {
    for (const address of addresses) {
      this.#schedule.remove(address);
      const active = this.#active.get(address);
      if (active) this.#leave(active);
      this.#parts.performing.abort(address);
    }
    this.#pump();
  }

  /** Lets the steps in progress settle, then lets go of everything. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#callOffRenewal();
    const { clock } = this.#parts;
    const deadline = clock.now() + STOP_GRACE_MS;
    while ([...this.#active.values()].some(({ envelope }) => envelope) && clock.now() < deadline) {
      await new Promise<void>((resolve) => clock.after(10, resolve));
    }
    await Promise.all([...this.#active.values()].map((active) => this.#passivate(active)));
    this.#end(null);
  }

  #pump(): void {
    while (this.#counted < this.#parts.slots) {
      const runnable = this.#schedule.take();
      if (!runnable) return;
      this.#claim(runnable);
    }
  }

  async #claim(runnable: Runnable): Promise<void> {
    const { store, clock, owner, performing, log } = this.#parts;
    const { address, tree_id } = runnable;
    const now = clock.now();
    this.#moving.set(address, null);
    if (!runnable.urgent) this.#counted++;
    const result = await store.commit([
      claimActor({ address, owner, now, lease_until: now + LEASE_MS }),
      takeFirst({ address, now }),
      openEffects({ address }),
      taskRuns({ id: address, now }),
      treeRuns({ id: tree_id, now }),
    ]).catch(unknownOutcome);
    const called = this.#moving.get(address) ?? null;
    this.#moving.delete(address);
    if (!result.ok) {
      if (!runnable.urgent) this.#counted--;
      // Refused: it has ended, or another node holds it and will see its envelope.
      if (!result.refused) log(`Cannot claim ${address}: ${result.reason}`);
      this.#pump();
      return;
    }
    const [[actor], envelopes, effects] = result.rows;
    const active: Activation = {
      runnable,
      claim: { address, tree_id, owner, epoch: actor.epoch as number },
      kind: actor.kind as string,
      state: actor.state_json as string | null,
      worker: null,
      envelope: null,
      suspect: false,
      settling: false,
      performing: 0,
      taking: false,
      again: called !== null,
    };
    this.#active.set(address, active);
    this.#parts.events.publish(tree_id);
    performing.abort(address);
    this.#perform(active, effects.map((row) => dueOf(row, active.claim)));
    this.#deliver(active, envelopes[0]);
  }

  /** Hands an envelope over, or passivates an actor that has none and waits for nothing here. */
  #deliver(active: Activation, row: Row | undefined): void {
    const { cells } = this.#parts;
    if (this.#active.get(active.claim.address) !== active) return;
    if (!row) {
      if (active.again) {
        active.again = false;
        this.#takeNext(active);
      } else if (active.performing === 0) this.#passivate(active);
      return;
    }
    const { id, type, attempts, message_json } = row as unknown as Taken;
    active.envelope = { id, type, attempts };
    if (active.worker !== null) return cells.deliver(active.worker, id, message_json, null);
    active.worker = cells.start(active.kind, active.suspect);
    this.#workers.set(active.worker, active);
    cells.deliver(active.worker, id, message_json, active.state);
  }

  async #takeNext(active: Activation): Promise<void> {
    if (active.envelope || active.taking) {
      active.again = true;
      return;
    }
    active.taking = true;
    const { store, clock, log } = this.#parts;
    const { address } = active.claim;
    const result = await store.commit([takeFirst({ address, now: clock.now() })])
      .catch(unknownOutcome);
    active.taking = false;
    if (result.ok) this.#deliver(active, result.rows[0][0]);
    else {
      log(`Cannot read the mailbox of ${address}: ${result.reason}`);
      this.#passivate(active);
    }
  }

  async #onStep(worker: number, step: Step): Promise<void> {
    const active = this.#workers.get(worker);
    const envelope = active?.envelope;
    if (!active || !envelope || active.settling) return;
    active.settling = true;
    const { store, clock, ids, events, performing } = this.#parts;
    const { address, tree_id } = active.claim;
    const settling = settle(active.claim, envelope, step, ids, clock.now());
    const result = await store.commit(settling.unit).catch(unknownOutcome);
    active.settling = false;
    if (this.#active.get(address) !== active) return;
    if (!result.ok) {
      // Ended by somebody else, or taken over: the step is worth nothing, and nothing is owed.
      if (result.reason === CLAIM_LOST) return this.#leave(active);
      this.#dismiss(active);
      await this.#retry(
        active,
        envelope,
        `its step could not be settled (${result.reason})`,
        "own",
      );
      return;
    }
    active.state = step.state;
    active.envelope = null;
    active.suspect = false;
    events.publish(tree_id);
    for (const to of settling.woken) this.wake({ ...active.runnable, address: to });
    if (step.ending) {
      const parent = result.rows.at(-1)![0]?.to_address as string | undefined;
      this.#leave(active);
      performing.abort(address);
      if (parent) this.wake({ ...active.runnable, address: parent, urgent: false });
      this.#pump();
      return;
    }
    if (step.effects.some(({ type }) => type === "drop_effects")) performing.abort(address);
    if (step.effects.some(({ type }) => type === "stuck")) this.#parts.onStuck();
    this.#perform(active, settling.due);
    this.#deliver(active, result.rows.at(-1)![0]);
  }

  #perform(active: Activation, due: readonly OpenEffect[]): void {
    for (const one of due) {
      if (one.holds === "slot") active.performing++;
      this.#parts.performing.perform(one, active.runnable).then(() => {
        if (one.holds !== "slot") return;
        active.performing--;
        if (this.#active.get(one.address) === active) this.#takeNext(active);
      });
    }
  }

  /** A worker failed with an envelope in hand: it is tried again, or buried and the task fails. */
  async #onFailure(worker: number, reason: string, fault: Fault): Promise<void> {
    const active = this.#workers.get(worker);
    if (!active) return;
    this.#dismiss(active);
    // An idle worker is missed by nobody, and an answer that is being settled stands for itself: the
    // next envelope gets a new worker with the committed state.
    if (active.envelope && !active.settling) {
      await this.#retry(active, active.envelope, reason, fault);
    }
  }

  async #retry(
    active: Activation,
    envelope: { id: string; type: string; attempts: number },
    reason: string,
    fault: Fault,
  ): Promise<void> {
    const { store, clock, log } = this.#parts;
    const { address } = active.claim;
    log(`${active.kind} ${address} failed at ${envelope.type}: ${reason}`);
    const now = clock.now();
    const fate = afterFailure(envelope.attempts, now);
    const guilty = fault === "own";
    if (fault === "unclear") active.suspect = true;
    if (guilty && fate.verdict === "bury") {
      await this.#bury(active, envelope, reason);
      return;
    }
    const due_at = !guilty || fate.verdict === "bury" ? now : fate.due_at;
    const attempts = guilty ? envelope.attempts : envelope.attempts - 1;
    const result = await store.commit([putBack({ id: envelope.id, due_at, attempts })])
      .catch(unknownOutcome);
    if (!result.ok) log(`Cannot put ${envelope.id} back: ${result.reason}`);
    active.envelope = null;
    if (this.#active.get(address) !== active) return;
    clock.after(Math.max(0, due_at - now), () => {
      if (this.#active.get(address) === active) this.#takeNext(active);
    });
  }

  async #bury(
    active: Activation,
    envelope: { id: string; type: string; attempts: number },
    cause: string,
  ): Promise<void> {
    const { store, clock, ids, events, performing, log } = this.#parts;
    const { address, tree_id } = active.claim;
    const reason = `Failed ${envelope.attempts} times at ${envelope.type}: ${cause}`;
    const now = clock.now();
    const fresh = { entry: ids.next(), envelope: ids.next() };
    const result = await store.commit([
      ...buryEnvelope(envelope.id, reason, now),
      ...endTask(
        { id: address, tree_id },
        { status: "failed", result: null, reason },
        fresh,
        now,
      ),
    ]).catch(unknownOutcome);
    if (!result.ok) log(`Cannot bury ${envelope.id}: ${result.reason}`);
    if (this.#active.get(address) !== active) return;
    this.#leave(active);
    performing.abort(address);
    events.publish(tree_id);
    const parent = result.ok ? result.rows.at(-1)![0]?.to_address as string | undefined : undefined;
    if (parent) this.wake({ ...active.runnable, address: parent, urgent: false });
    this.#pump();
  }

  /** Waiting costs nothing: the worker goes, the claim is given back, the next envelope wakes it. */
  async #passivate(active: Activation): Promise<void> {
    const { store, clock, events, log } = this.#parts;
    const { address, epoch, tree_id } = active.claim;
    this.#leave(active);
    this.#moving.set(address, null);
    const result = await store.commit([
      releaseActor({ address, epoch }),
      taskWaits({ id: address }),
      hasDue({ address, now: clock.now() }),
    ]).catch(unknownOutcome);
    const called = this.#moving.get(address) !== null;
    this.#moving.delete(address);
    if (!result.ok) {
      log(`Cannot passivate ${address}: ${result.reason}`);
      // Still held by this node: claimed once more, it is let go of again or goes on.
      clock.after(RETRY_MAX_MS, () => this.wake(active.runnable));
    } else if (called || result.rows[2].length > 0) this.wake(active.runnable);
    events.publish(tree_id);
    this.#pump();
  }

  /** Takes an actor off its worker and its slot. */
  #leave(active: Activation): void {
    const { address } = active.claim;
    if (this.#active.get(address) !== active) return;
    this.#active.delete(address);
    if (!active.runnable.urgent) this.#counted--;
    this.#dismiss(active);
  }

  /** Takes an actor off its worker; its slot and its claim stay. */
  #dismiss(active: Activation): void {
    if (active.worker === null) return;
    this.#workers.delete(active.worker);
    this.#parts.cells.stop(active.worker);
    active.worker = null;
  }

  #renew(): void {
    const { clock, store, owner, log } = this.#parts;
    this.#callOffRenewal = clock.after(LEASE_RENEW_MS, async () => {
      const result = await store.commit([
        renewLeases({ owner, lease_until: clock.now() + LEASE_MS }),
      ]).catch(unknownOutcome);
      if (!result.ok) log(`Cannot renew the leases: ${result.reason}`);
      if (!this.#stopping) this.#renew();
    });
  }
}

/** The store died: the supervisor deals with that; here nothing more can be done. */
function unknownOutcome(error: Error): { ok: false; refused: false; reason: string } {
  return { ok: false, refused: false, reason: error.message };
}

function dueOf(row: Row, { address, tree_id }: Claim): OpenEffect {
  return {
    key: row.key as string,
    address,
    tree_id,
    holds: row.holds as OpenEffect["holds"],
    effect: JSON.parse(row.effect_json as string) as Effect,
    status: row.status as OpenEffect["status"],
    attempts: row.attempts as number,
  };
}
