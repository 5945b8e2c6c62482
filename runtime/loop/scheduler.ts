/**
 * Runs actors: carries out what the life of each asks for (`core/activation.ts`) and tells it what came of
 * that. Claims whoever is next, hands envelopes to workers, settles what comes back, has effects performed,
 * and lets go of who has nothing left to do now.
 */
import { claimActor, claimOf, releaseActor, renewLeases, stillHeld } from "../../db/actors.ts";
import { buryEnvelope } from "../../db/dead_letters.ts";
import { deliveredOf, hasDue, putBack, seeFirst, takeFirst } from "../../db/envelopes.ts";
import { CLAIM_LOST } from "../../db/entries.ts";
import { openEffects, openEffectsOf } from "../../db/outbox.ts";
import type { Store } from "../../db/store.ts";
import type { EndOfTask } from "../../db/endings.ts";
import { taskRuns, taskWaits } from "../../db/tasks.ts";
import { treeRuns } from "../../db/trees.ts";
import type { Rows, Unit } from "../../db/unit.ts";
import { commitAndTell, type Concerned } from "../commands/commit.ts";
import { ending } from "../commands/ending.ts";
import {
  type Action,
  type Activation,
  type Event,
  RELEASED,
  transition,
} from "../core/activation.ts";
import type { Claim, Fault } from "../core/delivery.ts";
import { LEASE_MS, LEASE_RENEW_MS, STOP_GRACE_MS } from "../core/limits.ts";
import type { Address } from "../core/protocol.ts";
import { type Runnable, Schedule } from "../core/schedule.ts";
import type { Step } from "../core/actor.ts";
import type { Cells, Child, Clock, Ids, Log, Loop, News, Outbox } from "../ports.ts";
import { settle } from "./settle.ts";

export interface SchedulerPorts {
  readonly store: Store;
  readonly cells: Cells;
  readonly outbox: Outbox;
  readonly news: News;
  /** Who is told of what this one's commits mean for others: itself, and whoever looks at the clock. */
  readonly loop: Loop;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

export interface SchedulerConfig {
  /** This node, as the owner of claims. */
  readonly owner: string;
  /** How many actors may run at once. */
  readonly slots: number;
}

/** One actor's life, and what of it only the shell knows. */
interface Life {
  readonly address: Address;
  state: Activation;
  worker: number | null;
  /** Its effects that are performed at this moment, by key: of one that was called off and begun anew the last. */
  readonly under_way: Map<string, Promise<void>>;
  /** Calls off the pause that its state asked for, if one is under way. */
  callOff: (() => void) | null;
}

export class Scheduler implements Child, Omit<Loop, "expect"> {
  readonly gone: Promise<string | null>;
  readonly #ports: SchedulerPorts;
  readonly #config: SchedulerConfig;
  readonly #schedule = new Schedule();
  readonly #lives = new Map<Address, Life>();
  readonly #workers = new Map<number, Life>();
  /** Effects under way, those included that outlive their actor's claim. */
  readonly #performing = new Map<Promise<void>, Address>();
  /** Actors that count against the slots. */
  #slots_taken = 0;
  #commits = 0;
  #pumping = false;
  #phase: "on" | "finishing" | "leaving" = "on";
  readonly #empty = Promise.withResolvers<void>();
  #end!: (reason: string | null) => void;
  #callOffRenewal = () => {};

  constructor(ports: SchedulerPorts, config: SchedulerConfig) {
    this.#ports = ports;
    this.#config = config;
    this.gone = new Promise((resolve) => this.#end = resolve);
    ports.cells.onStep = (worker, step) => this.#onStep(worker, step);
    ports.cells.onFailure = (worker, reason, fault) => this.#onFailure(worker, reason, fault);
    this.#renewLater();
  }

  /** What runs and what waits for a slot. */
  get load(): { running: number; runnable: number; slots: number } {
    const running = this.#held().length;
    return { running, runnable: this.#schedule.size, slots: this.#config.slots };
  }

  /** Says that an actor has an envelope or an effect that is due. */
  wake(runnable: Runnable): void {
    if (this.#phase !== "on") return;
    const { address } = runnable;
    let life = this.#lives.get(address);
    if (!life) {
      life = { address, state: RELEASED, worker: null, under_way: new Map(), callOff: null };
      this.#lives.set(address, life);
    }
    this.#tell(life, { type: "woken", runnable });
  }

  /** Takes ended actors off their workers: their claims are void already. */
  drop(addresses: readonly Address[]): void {
    for (const address of addresses) {
      const life = this.#lives.get(address);
      if (life) this.#tell(life, { type: "dropped" });
      else this.#ports.outbox.abort(address);
    }
  }

  /** Lets the steps in progress settle, then lets go of everything; nothing of it goes on afterwards. */
  async stop(): Promise<void> {
    this.#phase = "finishing";
    this.#callOffRenewal();
    for (const address of new Set(this.#performing.values())) this.#ports.outbox.abort(address);
    this.#restAll();
    const grace = Promise.withResolvers<void>();
    const callOff = this.#ports.clock.after(STOP_GRACE_MS, grace.resolve);
    await Promise.race([this.#empty.promise, grace.promise]);
    this.#phase = "leaving";
    this.#restAll();
    await this.#empty.promise;
    await Promise.race([Promise.all(this.#performing.keys()), grace.promise]);
    callOff();
    this.#end(null);
  }

  #restAll(): void {
    for (const life of [...this.#lives.values()]) this.#rest(life);
    this.#lookWhetherEmpty();
  }

  /** While the scheduler stops: what has come to rest is let go of, and nothing is tried again. */
  #rest(life: Life): void {
    const { at } = life.state;
    if ("failures" in life.state && life.callOff) {
      life.callOff();
      this.#forget(life);
    } else if (
      at === "waiting" || at === "idle" || at === "resting" ||
      (at === "running" && this.#phase === "leaving")
    ) this.#tell(life, { type: "stopped" });
  }

  #lookWhetherEmpty(): void {
    if (this.#phase === "on" || this.#lives.size > 0 || this.#commits > 0) return;
    this.#empty.resolve();
  }

  #forget(life: Life): void {
    this.#dismiss(life);
    if (this.#lives.get(life.address) === life) this.#lives.delete(life.address);
  }

  /** The one place where a life goes on. */
  #tell(life: Life, event: Event): void {
    const before = life.state.at;
    const { state, actions } = transition(life.state, event);
    life.state = state;
    // A pause belongs to the state that asked for it.
    if (state.at !== before || event.type === "tick") {
      life.callOff?.();
      life.callOff = null;
    }
    for (const action of actions) this.#carryOut(life, action);
    if (life.state.at === "released") this.#forget(life);
    if (this.#phase === "on") this.#pump();
    else {
      this.#rest(life);
      this.#lookWhetherEmpty();
    }
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#slots_taken < this.#config.slots) {
      const runnable = this.#schedule.take();
      if (!runnable) break;
      this.#slots_taken++;
      this.#tell(this.#lives.get(runnable.address)!, { type: "picked" });
    }
    this.#pumping = false;
  }

  #carryOut(life: Life, action: Action): void {
    const { cells, outbox, clock, log } = this.#ports;
    switch (action.do) {
      case "join":
        return this.#schedule.add(action.runnable);
      case "quit":
        return this.#schedule.remove(life.address);
      case "leave_slot":
        this.#slots_taken--;
        return;
      case "claim":
        return void this.#claim(life, action);
      case "take":
        return void this.#take(life, action);
      case "settle":
        return void this.#settle(life, action);
      case "put_back":
        return void this.#putBack(life, action);
      case "bury":
        return void this.#bury(life, action);
      case "passivate":
        return void this.#passivate(life, action);
      case "deliver": {
        const { held: { kind, suspect, state_json }, delivered: { id, message_json } } = action;
        if (life.worker !== null) return cells.deliver(life.worker, id, message_json, null);
        life.worker = cells.start(kind, suspect);
        this.#workers.set(life.worker, life);
        return cells.deliver(life.worker, id, message_json, state_json);
      }
      case "stop_worker":
        return this.#dismiss(life);
      case "perform":
        return this.#perform(life, action);
      case "abort":
        return outbox.abort(life.address);
      case "call_for_help":
        return this.#ports.loop.expect(0);
      case "again_after":
        life.callOff = clock.after(action.ms, () => this.#tell(life, { type: "tick" }));
        return;
      case "log":
        return log(action.line);
    }
  }

  /** Commits what a life's state waits for, and tells it what came of that. */
  async #commit(
    life: Life,
    unit: Unit,
    concerned: (rows: Rows) => Concerned,
    done: (rows: Rows) => Event,
  ): Promise<void> {
    const { clock } = this.#ports;
    this.#commits++;
    const result = await commitAndTell(this.#ports, unit, concerned);
    this.#commits--;
    // Dropped meanwhile: what it waited for is no longer its own.
    if (this.#lives.get(life.address) !== life) return this.#lookWhetherEmpty();
    if (result.ok) return this.#tell(life, done(result.rows));
    const { refused, reason } = result;
    const lost = reason === CLAIM_LOST;
    this.#tell(
      life,
      refused ? { type: "refused", reason, lost, now: clock.now() } : { type: "unknown", reason },
    );
  }

  #claim(life: Life, { runnable }: Extract<Action, { do: "claim" }>): Promise<void> {
    const { clock } = this.#ports;
    const { address, tree_id } = runnable;
    const now = clock.now();
    const { owner } = this.#config;
    const claiming = claimActor({ address, owner, now, lease_until: now + LEASE_MS });
    const taking = takeFirst({ address, now });
    const looking = openEffects({ address });
    return this.#commit(
      life,
      [
        claiming,
        taking,
        looking,
        taskRuns({ id: address, now }),
        treeRuns({ id: tree_id, now }),
      ],
      () => ({ trees: [tree_id] }),
      (rows) => {
        const [actor] = rows.of(claiming);
        const claim = claimOf(actor);
        return {
          type: "claimed",
          claim,
          kind: actor.kind,
          state_json: actor.state_json,
          effects: openEffectsOf(rows.of(looking), claim),
          delivered: deliveredOf(rows.of(taking)),
        };
      },
    );
  }

  #take(life: Life, { held: { claim } }: Extract<Action, { do: "take" }>): Promise<void> {
    const { address } = life;
    const seeing = seeFirst({ address, now: this.#ports.clock.now() });
    const looking = openEffects({ address });
    return this.#commit(life, [seeing, looking], () => ({}), (rows) => ({
      type: "taken",
      due: openEffectsOf(rows.of(looking), claim).filter(({ key }) => !life.under_way.has(key)),
      delivered: deliveredOf(rows.of(seeing)),
    }));
  }

  #settle(
    life: Life,
    { held, delivered, step }: Extract<Action, { do: "settle" }>,
  ): Promise<void> {
    const { ids, clock } = this.#ports;
    const settling = settle(held.claim, delivered, step, ids, clock.now());
    return this.#commit(
      life,
      settling.unit,
      (rows) => ({
        trees: [held.claim.tree_id],
        wake: [
          ...settling.woken.map((address) => ({ ...held.runnable, address })),
          ...parentOf(settling, rows, held.runnable),
        ],
      }),
      (rows) => ({ type: "settled", due: settling.due, delivered: settling.taken(rows) }),
    );
  }

  #putBack(life: Life, { held, back }: Extract<Action, { do: "put_back" }>): Promise<void> {
    return this.#commit(
      life,
      [stillHeld(held.claim), putBack({ ...back })],
      () => ({}),
      () => ({ type: "put_back", now: this.#ports.clock.now() }),
    );
  }

  #bury(life: Life, { held, delivered, reason }: Extract<Action, { do: "bury" }>): Promise<void> {
    const { claim, runnable } = held;
    const failed = { status: "failed", result: null, reason } as const;
    const end = ending(this.#ports, { ...runnable, id: claim.address }, failed);
    return this.#commit(
      life,
      [
        stillHeld(claim),
        ...buryEnvelope(delivered, reason, this.#ports.clock.now()),
        ...end.unit,
      ],
      end.concerned,
      () => ({ type: "buried" }),
    );
  }

  #passivate(life: Life, { claim }: Extract<Action, { do: "passivate" }>): Promise<void> {
    const { address, epoch, tree_id } = claim;
    const due = hasDue({ address, now: this.#ports.clock.now() });
    return this.#commit(
      life,
      [stillHeld(claim), releaseActor({ address, epoch }), taskWaits({ id: address }), due],
      () => ({ trees: [tree_id] }),
      (rows) => ({ type: "passivated", due: rows.of(due).length > 0 }),
    );
  }

  #perform(life: Life, { held, effects }: Extract<Action, { do: "perform" }>): void {
    // What is not begun now is begun at the next start.
    if (this.#phase !== "on") return;
    for (const effect of effects) {
      const performing = this.#ports.outbox.perform(effect, held.runnable)
        .catch((error: Error) => this.#ports.log(`Effect ${effect.key} failed: ${error.message}`))
        .then(() => {
          this.#performing.delete(performing);
          if (life.under_way.get(effect.key) === performing) life.under_way.delete(effect.key);
          if (this.#lives.get(life.address) !== life) return;
          this.#tell(life, { type: "effect_done", epoch: held.claim.epoch });
        });
      this.#performing.set(performing, life.address);
      life.under_way.set(effect.key, performing);
    }
  }

  #onStep(worker: number, step: Step): void {
    const life = this.#workers.get(worker);
    if (life) this.#tell(life, { type: "stepped", step });
  }

  #onFailure(worker: number, reason: string, fault: Fault): void {
    const life = this.#workers.get(worker);
    if (!life) return;
    this.#dismiss(life);
    this.#tell(life, { type: "worker_failed", reason, fault, now: this.#ports.clock.now() });
  }

  /** Takes an actor off its worker; its slot and its claim stay. */
  #dismiss(life: Life): void {
    if (life.worker === null) return;
    this.#workers.delete(life.worker);
    this.#ports.cells.stop(life.worker);
    life.worker = null;
  }

  /** What is claimed and in memory; the rest is nobody's to renew. */
  #held(): Claim[] {
    return [...this.#lives.values()].flatMap((life) => claimIn(life) ?? []);
  }

  #renewLater(): void {
    this.#callOffRenewal = this.#ports.clock.after(LEASE_RENEW_MS, () => this.#renew());
  }

  async #renew(): Promise<void> {
    const { clock, log } = this.#ports;
    const held = this.#held();
    const renewing = renewLeases(held, clock.now() + LEASE_MS);
    this.#commits++;
    const result = await commitAndTell(this.#ports, [renewing], () => ({}));
    this.#commits--;
    if (result.ok) this.#dropLost(held, result.rows.of(renewing));
    else log(`Cannot renew the leases: ${result.reason}`);
    if (this.#phase === "on") this.#renewLater();
    else this.#lookWhetherEmpty();
  }

  /** Who was ended by a commit that nobody heard of is active in memory alone: nothing else would tell. */
  #dropLost(held: readonly Claim[], renewed: readonly { readonly address: Address }[]): void {
    const kept = new Set(renewed.map(({ address }) => address));
    for (const claim of held) {
      const life = this.#lives.get(claim.address);
      if (life && !kept.has(claim.address) && claimIn(life) === claim) {
        this.#tell(life, { type: "dropped" });
      }
    }
  }
}

function claimIn({ state }: Life): Claim | null {
  return "held" in state ? state.held.claim : null;
}

function parentOf(
  { parentTold }: Pick<EndOfTask, "parentTold">,
  rows: Rows,
  runnable: Runnable,
): Runnable[] {
  const address = parentTold(rows);
  return address === null ? [] : [{ ...runnable, address, urgent: false }];
}
