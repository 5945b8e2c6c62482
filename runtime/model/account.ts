/**
 * Makes a model call out of a tree's budget: sets aside what it may cost, hands it to the gateway, and
 * writes down what it used.
 */
import { actorProgresses } from "../../db/actors.ts";
import { accountOf, loseReservation, release, reserve } from "../../db/reservations.ts";
import { addUsage } from "../../db/tasks.ts";
import type { Statement } from "../../db/unit.ts";
import {
  boundsModels,
  costOf,
  type Grant,
  grant,
  leftOf,
  type ModelFacts,
  NANO,
  type Want,
} from "../core/model/budget.ts";
import { MODEL_PROGRESS_MS, STUCK_LOOKS, TOKEN_BYTES } from "../core/limits.ts";
import type {
  ModelFailure,
  ModelReply,
  ModelRequest,
  Piece,
  Provider,
  Usage,
} from "../core/model/messages.ts";
import { factsOf, OFFLINE_FACTS } from "../core/model/facts.ts";
import { OFFLINE } from "../core/model/offline.ts";
import { pauseAfter } from "../core/model/patience.ts";
import type { Budget } from "../core/protocol.ts";
import type { PromptSize } from "../core/model/window.ts";
import { type Clock, type Ids, type Log, pause } from "../ports.ts";
import type { Store } from "../../db/store.ts";
import type { Drafts } from "../passing/drafts.ts";
import type { ModelTable } from "../core/model/facts.ts";
import type { Patience } from "../core/model/patience.ts";
import type { Gateway } from "../ports.ts";

export interface ModelPorts {
  readonly store: Store;
  readonly gateway: Gateway;
  readonly drafts: Drafts;
  readonly provider: Provider | null;
  readonly models: ModelTable;
  readonly patience: Patience;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** Who makes a call, and out of which budget. */
export interface Spender {
  /** The effect's: one call at a time is made under it. */
  readonly key: string;
  readonly task_id: string;
  readonly tree_id: string;
  readonly turn: number;
  readonly priority: number;
  readonly budget: Budget;
  readonly timeout_seconds: number;
}

interface Cost {
  /** What becomes true whatever is done with the answer. */
  readonly cost: readonly Statement[];
}

/** A call that was not made or gave nothing. */
export type Unspent = ModelFailure & Cost;

/**
 * Makes a call within the tree's budget: what it may cost is set aside before, and what it did cost is
 * written down after, also when it is called off or breaks off. One that broke off is made again.
 */
export async function spend(
  parts: ModelPorts,
  spender: Spender,
  request: ModelRequest,
  size: PromptSize,
  signal: AbortSignal,
): Promise<({ readonly reply: ModelReply } & Cost) | Unspent> {
  const { store, clock, drafts, patience } = parts;
  const draft = drafts.open(spender.task_id, spender.tree_id, spender.turn);
  const progress = new Progress(parts, spender);
  const deadline = clock.now() + patience.deadline_ms;
  const onPiece = (piece: Piece) => {
    progress.take(piece);
    draft.write(piece);
  };
  try {
    for (let attempt = 1;; attempt++) {
      const answer = await once(parts, spender, request, size, signal, onPiece);
      if (!("failed" in answer) || answer.concerns !== "again") return answer;
      if (attempt >= patience.attempts_max || clock.now() > deadline) {
        return { ...answer, concerns: "task" };
      }
      await store.commit(answer.cost);
      onPiece({ type: "waiting", why: answer.failed });
      await pause(clock, pauseAfter(patience, attempt, Math.random()), signal);
    }
  } finally {
    progress.end();
    draft.close();
  }
}

async function once(
  parts: ModelPorts,
  spender: Spender,
  request: ModelRequest,
  size: PromptSize,
  signal: AbortSignal,
  onPiece: (piece: Piece) => void,
): Promise<({ readonly reply: ModelReply } & Cost) | Unspent> {
  const { key, task_id, tree_id, priority } = spender;
  const model = parts.provider?.models[request.model] ?? OFFLINE;
  const want = { input_tokens: size.most, output_tokens: request.max_tokens, web: request.web };
  const onWait = (why: string) => onPiece({ type: "waiting", why });
  const set_aside = await setAside(parts, spender, want, model, signal, onWait);
  if ("failed" in set_aside) return { ...set_aside, cost: [] };
  const meter = new Meter(model);
  const costs = (usage: Usage | null, answered: string): Statement[] => {
    if (!usage) return [release({ key })];
    const price = factsAbout(parts, answered).price ?? factsAbout(parts, model).price;
    const used = { id: task_id, model: answered, usage, cost_nano: costOf(usage, price) };
    return [addUsage(used), release({ key })];
  };
  const call = {
    request: { ...request, max_tokens: set_aside.max_tokens, web: set_aside.web },
    ...{ task_id, tree_id, priority },
    input_tokens: size.fresh,
  };
  try {
    const answer = await parts.gateway.ask(call, signal, (piece) => {
      meter.take(piece);
      onPiece(piece);
    });
    if ("failed" in answer) return { ...answer, cost: costs(meter.used(), meter.model) };
    return { reply: answer, cost: costs(answer.usage, answer.model) };
  } catch (error) {
    // Called off in its middle, or the gateway died: the provider counts what it had said.
    await parts.store.commit(costs(meter.used(), meter.model));
    throw error;
  }
}

/** Counts what a call has used that does not come to its end. */
class Meter {
  model: string;
  #usage: Usage | null = null;
  #characters = 0;

  constructor(model: string) {
    this.model = model;
  }

  take(piece: Piece): void {
    if (piece.type === "delta") this.#characters += piece.text.length;
    if (piece.type !== "usage") return;
    this.model = piece.model;
    this.#usage = piece.usage;
  }

  /**
   * Null when the provider has not begun to answer. Tokens out are counted at the end only: until then
   * the text tells about how many.
   */
  used(): Usage | null {
    if (!this.#usage) return null;
    const said = Math.ceil(this.#characters / TOKEN_BYTES);
    return { ...this.#usage, output_tokens: Math.max(this.#usage.output_tokens, said) };
  }
}

/** While the model is heard, or others are waited for, its task is not stuck. */
class Progress {
  readonly #touch: () => void;
  readonly #every: number;
  readonly #parts: ModelPorts;
  #next: number;
  #callOff = () => {};

  constructor(parts: ModelPorts, { task_id, timeout_seconds }: Spender) {
    this.#parts = parts;
    this.#every = Math.min(MODEL_PROGRESS_MS, timeout_seconds * 1000 / STUCK_LOOKS);
    this.#next = parts.clock.now() + this.#every;
    const { store, clock } = parts;
    // Missed once, it is said again soon.
    this.#touch = () =>
      void store.commit([actorProgresses({ address: task_id, now: clock.now() })]).catch(() => {});
  }

  take(piece: Piece): void {
    this.#callOff();
    if (piece.type === "waiting") this.#wait();
    const now = this.#parts.clock.now();
    if (now < this.#next) return;
    this.#next = now + this.#every;
    this.#touch();
  }

  end(): void {
    this.#callOff();
  }

  #wait(): void {
    this.#callOff = this.#parts.clock.after(this.#every, () => {
      this.#touch();
      this.#wait();
    });
  }
}

/**
 * Sets aside what the call may use at the most. While other calls of the tree hold what it would need,
 * it waits for them; when even then nothing would be left, the call is not made.
 */
async function setAside(
  parts: ModelPorts,
  { key, tree_id, budget }: Spender,
  want: Want,
  model: string,
  signal: AbortSignal,
  onWait: (why: string) => void,
): Promise<Grant | ModelFailure> {
  const { store, clock, ids } = parts;
  const { price } = factsAbout(parts, model);
  const free: Grant = {
    max_tokens: want.output_tokens,
    web: want.web,
    tokens: 0,
    cost_nano: 0,
  };
  if (!boundsModels(budget) || model === OFFLINE) return free;
  const deadline = clock.now() + parts.patience.deadline_ms;
  let waiting = false;
  for (;;) {
    const account = await accountOf(store.read, tree_id, key);
    const refused = (why: string): ModelFailure => ({
      failed: `The tree's budget is used up: ${why}`,
      concerns: "task",
    });
    if (budget.cost_usd !== undefined && (price === null || account.unpriced_calls > 0)) {
      return refused(
        `it is in dollars, and the price of ${model} is unknown (seeds/models.yaml has the prices)`,
      );
    }
    const { used, reserved } = account;
    if (!grant(want, leftOf(budget, used), price)) return refused(shortage(budget, used, want));
    const both = {
      tokens: used.tokens + reserved.tokens,
      cost_nano: used.cost_nano + reserved.cost_nano,
    };
    const granted = grant(want, leftOf(budget, both), price);
    if (granted) {
      const { tokens, cost_nano } = granted;
      const most = leftOf(budget, { tokens: 0, cost_nano: 0 });
      const bounds = { tokens_max: most.tokens, cost_nano_max: most.cost_nano };
      const result = await store.commit([
        // A call that a crash cut off was made under this key: what it cost nobody knows.
        loseReservation({ key, lost_key: `${key}/${ids.next()}` }),
        reserve({ key, tree_id, tokens, cost_nano, ...bounds, now: clock.now() }),
      ]);
      if (result.ok) return granted;
      if (!result.refused) throw new Error(result.reason);
    } else if (clock.now() > deadline) {
      return refused("the tree's other calls hold what is left of it");
    } else {
      if (!waiting) onWait("The tree's other calls hold what is left of its budget");
      waiting = true;
      await pause(clock, BUDGET_LOOK_MS, signal);
    }
  }
}

function shortage(
  budget: Budget,
  used: { tokens: number; cost_nano: number },
  { input_tokens }: Want,
): string {
  const parts = [];
  if (budget.tokens !== undefined) parts.push(`${used.tokens} of ${budget.tokens} tokens`);
  if (budget.cost_usd !== undefined) {
    parts.push(`$${(used.cost_nano / NANO).toFixed(4)} of $${budget.cost_usd}`);
  }
  return `${parts.join(" and ")} are gone, and the next prompt may have ${input_tokens} tokens`;
}

/** Between two looks at what other calls hold: short beside any of them. */
const BUDGET_LOOK_MS = 100;

/** What is known about a model by its name, the offline model included. */
export function factsAbout({ models }: ModelPorts, name: string): ModelFacts {
  return name === OFFLINE ? OFFLINE_FACTS : factsOf(models, name);
}
