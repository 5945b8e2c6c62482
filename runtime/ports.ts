/** What the runtime takes from the world, so that a simulation can give it another. */
import { monotonicFactory } from "ulid";
import type { Step } from "./core/actor.ts";
import type { LaneView } from "./core/model/lane.ts";
import type { ModelCall, ModelFailure, ModelReply, Piece } from "./core/model/messages.ts";
import type { Fault } from "./core/delivery.ts";
import type { Address, OpenEffect } from "./core/protocol.ts";
import type { Runnable } from "./core/schedule.ts";
import type { ToolOf } from "./core/toolkit/mod.ts";
import type { WrittenTool } from "./core/toolkit/tool.ts";

export interface Clock {
  /** ms since 1970 */
  now(): number;
  /** Calls back once; the function that it returns calls it off. */
  after(ms: number, call: () => void): () => void;
}

export interface Ids {
  /** A new ULID; later ones sort later. */
  next(): string;
}

/** Where actors live. A worker is known by a number that is never used twice. */
export interface Cells {
  /** Gives an actor of this kind a worker of its own; a suspect gets a cell for itself alone. */
  start(kind: string, suspect: boolean): number;
  /** Hands an envelope over. Message and state are JSON; the state goes with a worker's first one. */
  deliver(worker: number, envelope: string, message: string, state: string | null): void;
  stop(worker: number): void;
  /** Set by the scheduler. */
  onStep: (worker: number, step: Step) => void;
  onFailure: (worker: number, reason: string, fault: Fault) => void;
}

/** A process that hosts workers, as the pool of cells sees it. */
export interface HostProcess extends Child {
  readonly pid: number;
  /** True once it is being ended. */
  readonly doomed: boolean;
  /**
   * Sends a body to a worker, or to the process itself.
   * @throws {Error} when it is too large for a frame
   */
  send(worker: number, body: string): void;
  /** Ends it at once, with whatever it started. */
  kill(reason: string): void;
}

/** What a process has used so far. */
export interface ProcessUsage {
  /** User and system time of all its threads. */
  readonly cpu_ms: number;
  /** Of its first thread: how long it ran, and how long it was ready and waited for a core. */
  readonly ran_ms: number;
  readonly waited_ms: number;
  /** Resident memory. */
  readonly bytes: number;
}

/** Starts the processes in which actors live. */
export interface CellHosts {
  /**
   * Resolves when it can be spoken to.
   * @param place tells those apart that there are at once
   * @param onFrame gets whatever it sends; a body is lent and holds only until the call returns
   */
  open(
    id: string,
    place: number,
    onFrame: (worker: number, body: Uint8Array) => void,
  ): Promise<HostProcess>;
  /** By their process ids; who cannot be seen is left out. Never rejects. */
  usage(pids: readonly number[]): Promise<ReadonlyMap<number, ProcessUsage>>;
}

/** Chance: from 0 up to 1, without 1. */
export interface Random {
  next(): number;
}

/** Carries out committed effects. */
export interface Outbox {
  /** Performs, commits the outcome, and resolves when nothing of it is left to do. */
  perform(due: OpenEffect, runnable: Runnable): Promise<void>;
  /** Gives up whatever is under way for an actor. */
  abort(address: Address): void;
}

/** The tools of a tree's workspace. */
export interface Files {
  /** Performs one call. What is wrong with it comes back as an error result. */
  use(
    call: {
      readonly tree_id: string;
      readonly tool: ToolOf<"files">;
      readonly input: Record<string, unknown>;
    },
    signal: AbortSignal,
  ): Promise<FilesReply>;
}

export interface FilesReply {
  readonly content: string;
  /** A picture or document that was read: the SHA-256 of its bytes in hex, and the bytes. */
  readonly media?: {
    readonly hash: string;
    readonly media_type: string;
    readonly base64: string;
  };
  readonly is_error?: boolean;
}

/** What came of a call of a written tool. */
export type ToolOutcome =
  & ({ readonly ok: true; readonly value: unknown } | {
    readonly ok: false;
    readonly error: string;
  })
  & {
    /** What it printed. */
    readonly log: string;
  };

/** Runs tools that agents wrote, each call in a process of its own with exactly its permissions. */
export interface ToolRunner {
  /** Whether this machine puts namespaces around them. */
  readonly contained: boolean;
  /** A call in a tree's workspace. */
  run(
    tool: WrittenTool,
    input: unknown,
    tree_id: string,
    signal: AbortSignal,
  ): Promise<ToolOutcome>;
  /** A call in an empty workspace of its own, with these files in it. */
  try(
    tool: WrittenTool,
    input: unknown,
    files: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<ToolOutcome>;
  /** What is wrong with a tool's imports and types, without running it; null when nothing is. */
  check(source: string, signal: AbortSignal): Promise<string | null>;
}

/** Runs one shell command in a tree's workspace. */
export interface Terminal {
  /** Whether this machine puts namespaces around it. */
  readonly contained: boolean;
  run(
    command: {
      readonly tree_id: string;
      readonly command: string;
      readonly timeout_seconds: number;
      readonly network: boolean;
    },
    signal: AbortSignal,
    onOutput: (text: string) => void,
  ): Promise<CommandEnd>;
}

/** How a command ended. */
export interface CommandEnd {
  readonly code: number;
  readonly signal: string | null;
  /** Why it was ended from outside. */
  readonly stopped: string | null;
  readonly output: string;
  /** Bytes of output beyond what was kept. */
  readonly dropped: number;
}

/** What a command prints while it runs: shown, and then forgotten. */
export interface Outputs {
  open(task_id: string, tree_id: string, head: string): {
    write(text: string): void;
    close(): void;
  };
}

/** What a model says right now: shown while it comes, and then forgotten. */
export interface Drafting {
  open(task_id: string, tree_id: string, turn: number): {
    write(piece: Piece): void;
    close(): void;
  };
}

export interface Gateway {
  /**
   * Makes one attempt of a call.
   * @param onPiece called with each piece of the reply as it comes
   * @throws {Error} when the gateway dies or the call is called off; asking again is harmless
   */
  ask(
    call: ModelCall,
    signal: AbortSignal,
    onPiece: (piece: Piece) => void,
  ): Promise<ModelReply | ModelFailure>;
  /** How each model that was asked for is doing; empty for the offline model and during a restart. */
  views(): Promise<readonly LaneView[]>;
}

/** Who runs actors: told after a commit who has something to do, and who has ended. */
export interface Loop {
  wake(runnable: Runnable): void;
  /** Takes ended actors off their workers. */
  drop(addresses: readonly Address[]): void;
  /** Something may be stuck so long from now, or its tree's time be used up: looks early enough. */
  expect(timeout_ms: number, wall_ms?: number): void;
}

/** Who is told that something of a tree was committed. */
export interface News {
  publish(tree_id: string): void;
}

/** Something that runs until it is stopped or dies. */
export interface Child {
  /** Resolves once: null when it was stopped or ended by itself, else why it died. */
  readonly gone: Promise<string | null>;
  stop(): Promise<void>;
}

/** Starts one kind of child; `id` tells several of a kind apart. */
export type Starter = (id: string) => Promise<Child>;

/** One line on the console about something a person should know. */
export type Log = (line: string) => void;

export const systemRandom: Random = { next: () => Math.random() };

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

/** Waits so long; rejects with the signal's reason when it is aborted before. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const leave = () => {
      callOff();
      reject(signal.reason);
    };
    const callOff = clock.after(ms, () => {
      signal.removeEventListener("abort", leave);
      resolve();
    });
    signal.addEventListener("abort", leave, { once: true });
  });
}

const monotonic = monotonicFactory();

export const ulids: Ids = { next: () => monotonic() };
