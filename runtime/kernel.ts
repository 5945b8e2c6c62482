/**
 * The kernel as everybody outside of it sees it: one door for what is wanted, one for reading, one for
 * what happens. How its parts are put together is `boot.ts`; it runs no agent-written code.
 */
import type { Db } from "../db/schema.ts";
import type { UnitResult } from "../db/unit.ts";
import { commitAndTell, type Committing } from "./commands/commit.ts";
import { type AnswerTo, unitOf } from "./commands/mod.ts";
import type { Liveness } from "./commands/liveness.ts";
import { answeredBefore, keyOf, remember } from "./commands/once.ts";
import type { Reading } from "./commands/work.ts";
import type { By, Command } from "./core/command.ts";
import type { Containment } from "./core/config.ts";
import type { Provider } from "./core/model/messages.ts";
import type { Playbook } from "./core/model/offline.ts";
import type { Drafts } from "./passing/drafts.ts";
import type { Events } from "./passing/events.ts";
import type { RunningOutputs } from "./passing/outputs.ts";
import type { LaneView } from "./core/model/lane.ts";
import type { Supervised } from "./core/supervision.ts";
import type { Clock, Log } from "./ports.ts";

/** What became of a command: its answer, or why it could not be done just now. */
export type Dispatched<Answer> = { readonly ok: true; readonly answer: Answer } | {
  readonly ok: false;
  /** Whether it never can, as things stand; otherwise the store could not. */
  readonly refused: boolean;
  readonly reason: string;
};

/** What it was started with, for who shows it. */
export interface About {
  /** Demo tasks of the offline model. */
  readonly playbooks: readonly Playbook[];
  /** Who answers; null for the offline model. */
  readonly provider: Provider | null;
  /** Whether recorded model calls are played back. */
  readonly replays: boolean;
  readonly containment: {
    readonly mode: Containment;
    readonly layers: Readonly<Record<string, boolean>>;
    /** In words. */
    readonly summary: string;
  };
}

/** What runs at this moment. */
export interface AtWork {
  readonly agents: { readonly running: number; readonly runnable: number; readonly slots: number };
  readonly cells: { readonly cells: number; readonly workers: number };
  readonly tool_cells: { readonly running: number; readonly waiting: number };
  readonly lanes: readonly LaneView[];
  readonly supervision: Supervised;
}

export interface KernelParts extends Committing, Reading {
  readonly events: Events;
  readonly drafts: Drafts;
  readonly outputs: RunningOutputs;
  /** Resolves when the kernel is over: null after `stop`, else why. */
  readonly gone: Promise<string | null>;
  stop(): Promise<void>;
  readonly about: About;
  readonly liveness: Liveness;
  look(): Promise<AtWork>;
  readonly log: Log;
}

export class Kernel {
  readonly #parts: KernelParts;

  constructor(parts: KernelParts) {
    this.#parts = parts;
  }

  /** Everything that is written down. */
  get read(): Db {
    return this.#parts.read;
  }

  /** Who is told that something happens. */
  get events(): Pick<Events, "subscribe"> {
    return this.#parts.events;
  }

  /** What models are saying right now. */
  get drafts(): Pick<Drafts, "of" | "ofTree"> {
    return this.#parts.drafts;
  }

  /** What commands are printing right now. */
  get outputs(): Pick<RunningOutputs, "of"> {
    return this.#parts.outputs;
  }

  get about(): About {
    return this.#parts.about;
  }

  /** Whether the database still takes a write. */
  get liveness(): Liveness {
    return this.#parts.liveness;
  }

  /** What runs at this moment. */
  look(): Promise<AtWork> {
    return this.#parts.look();
  }

  get log(): Log {
    return this.#parts.log;
  }

  get clock(): Clock {
    return this.#parts.clock;
  }

  get gone(): Promise<string | null> {
    return this.#parts.gone;
  }

  /**
   * Does what somebody wants, in one transaction.
   * @param idempotency_key under which the same command of the same one is done once
   * @throws {NotAllowed} when they may not want this
   * @throws {NotThere} when what it names does not exist
   * @throws {Refusal} when it breaks a limit, by the field
   * @throws {KeyTaken} when the key stands for another command
   */
  async dispatch<C extends Command>(
    command: C,
    by: By,
    idempotency_key?: string,
  ): Promise<Dispatched<AnswerTo<C>>> {
    if (idempotency_key === undefined) return await this.#once(command, by, []);
    const key = keyOf(by, idempotency_key);
    const before = await answeredBefore(this.#parts.read, key, command);
    if (before) return { ok: true, ...before };
    const done = await this.#once(command, by, [key]);
    if (done.ok) return done;
    // Two with one key at once: the other one was first.
    const other = await answeredBefore(this.#parts.read, key, command);
    return other ? { ok: true, ...other } : done;
  }

  async stop(): Promise<void> {
    await this.#parts.stop();
  }

  async #once<C extends Command>(
    command: C,
    by: By,
    keys: readonly string[],
  ): Promise<Dispatched<AnswerTo<C>>> {
    const work = await unitOf(this.#parts, command, by);
    const now = this.#parts.clock.now();
    const remembered = keys.map((key) => remember(key, command, work.answer, now));
    const unit = [...work.unit, ...remembered];
    const result: UnitResult = await commitAndTell(this.#parts, unit, work.concerned);
    return result.ok ? { ok: true, answer: work.answer } : result;
  }
}
