/**
 * Makes a model call out of a tree's budget: sets aside what it may cost, hands it to the gateway, and
 * writes down what it used. What fails in passing is asked for anew.
 */
import type { Unit } from "../../db/unit.ts";
import { chargeFor, giveBack } from "../commands/account.ts";
import { commitAndTell, type Committing } from "../commands/commit.ts";
import { boundsModels, costOf, type Grant, type ModelFacts } from "../core/model/budget.ts";
import { factsOf, type ModelTable, OFFLINE_FACTS } from "../core/model/facts.ts";
import type {
  LastingFailure,
  ModelFailure,
  ModelReply,
  ModelRequest,
  Piece,
  Provider,
  Usage,
} from "../core/model/messages.ts";
import { OFFLINE } from "../core/model/offline.ts";
import type { Patience } from "../core/model/patience.ts";
import type { PromptSize } from "../core/model/window.ts";
import type { Budget } from "../core/protocol.ts";
import type { Clock, Drafting, Gateway, Ids, Random } from "../ports.ts";
import { Meter, Progress } from "./hearing.ts";
import { setAside } from "./set_aside.ts";
import type { Tries } from "./tries.ts";
import { reasonOf } from "../core/reason.ts";

export interface ModelPorts extends Committing {
  readonly gateway: Gateway;
  readonly drafts: Drafting;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly random: Random;
}

export interface ModelConfig {
  /** Who answers; null for the offline model. */
  readonly provider: Provider | null;
  readonly models: ModelTable;
  readonly patience: Patience;
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
  /** Of all the effect's calls together. */
  readonly tries: Tries;
}

/** A call that is to be made, and who pays for it. */
export interface Spending extends Spender {
  readonly request: ModelRequest;
  readonly size: PromptSize;
}

/** Who is told of the pieces of a reply, and may call the call off. */
interface Hearer {
  readonly signal: AbortSignal;
  readonly onPiece: (piece: Piece) => void;
}

interface Cost {
  /** What becomes true whatever is done with the answer. */
  readonly cost: Unit;
}

type Spent = { readonly reply: ModelReply } & Cost;

/** A call that was not made or gave nothing, and will not. */
export type Unspent = LastingFailure & Cost;

/**
 * Makes a call within the tree's budget until it is answered or nothing is to be hoped for. What it may
 * cost is set aside before each attempt, and what it did cost is written down after, also when it is
 * called off.
 * @throws {Error} when the store died; and the signal's reason
 */
export async function spend(
  ports: ModelPorts,
  config: ModelConfig,
  spending: Spending,
  signal: AbortSignal,
): Promise<Spent | Unspent> {
  const draft = ports.drafts.open(spending.task_id, spending.tree_id, spending.turn);
  const progress = new Progress(ports, spending);
  const onPiece = (piece: Piece) => {
    progress.take(piece);
    draft.write(piece);
  };
  let cost: Unit = [];
  try {
    const answer = await spending.tries.make(
      async () => {
        const made = await once(ports, config, spending, { signal, onPiece });
        cost = made.cost;
        return made.answer;
      },
      async ({ failed }) => {
        await charge(ports, spending, cost);
        onPiece({ type: "waiting", why: failed });
      },
      signal,
    );
    return "failed" in answer ? { ...answer, cost } : { reply: answer, cost };
  } finally {
    progress.end();
    draft.close();
  }
}

/**
 * Commits what a call cost before the effect that made it ends.
 * @throws {Error} when the store died
 */
export async function charge(
  ports: Committing,
  { tree_id }: { readonly tree_id: string },
  cost: Unit,
): Promise<void> {
  if (cost.length === 0) return;
  const result = await commitAndTell(ports, cost, () => ({ trees: [tree_id] }));
  if (!result.ok) throw new Error(`Cannot write down what a call cost: ${result.reason}`);
}

async function once(
  ports: ModelPorts,
  config: ModelConfig,
  spending: Spending,
  hearer: Hearer,
): Promise<{ readonly answer: ModelReply | ModelFailure } & Cost> {
  const { task_id, tree_id, priority, tries: { deadline }, request, size } = spending;
  const { signal, onPiece } = hearer;
  const model = modelOf(config, request);
  const granted = await grantOf(ports, config, spending, hearer);
  if ("failed" in granted) return { answer: granted, cost: [] };
  const meter = new Meter(model);
  const costs = (usage: Usage | null, answered: string): Unit => {
    if (!usage) return giveBack(spending);
    const price = factsAbout(config, answered).price ?? factsAbout(config, model).price;
    return chargeFor(spending, { model: answered, usage, cost_nano: costOf(usage, price) });
  };
  const call = {
    request: { ...request, max_tokens: granted.max_tokens, web: granted.web },
    ...{ task_id, tree_id, priority, deadline },
    input_tokens: size.fresh,
  };
  try {
    onPiece({ type: "asked" });
    const answer = await ports.gateway.ask(call, signal, (piece) => {
      meter.take(piece);
      onPiece(piece);
    });
    if ("failed" in answer) return { answer, cost: costs(meter.used(), meter.model) };
    return { answer, cost: costs(answer.usage, answer.model) };
  } catch (error) {
    // Called off in its middle, or the gateway died: the provider counts what it had said.
    const cost = costs(meter.used(), meter.model);
    if (signal.aborted) {
      await charge(ports, spending, cost);
      throw error;
    }
    return { answer: passing(error), cost };
  }
}

/** A gateway that died is started anew: its call may be made again like any other that failed. */
function passing(error: unknown): ModelFailure {
  const failed = reasonOf(error);
  return { failed, concerns: "again", retry_after_ms: null, limited: false };
}

/** What the call may use; as much as it wants where no budget bounds it. */
async function grantOf(
  ports: ModelPorts,
  config: ModelConfig,
  { key, tree_id, budget, tries, request, size }: Spending,
  { signal, onPiece }: Hearer,
): Promise<Grant | LastingFailure> {
  const { max_tokens, web } = request;
  const model = modelOf(config, request);
  if (!boundsModels(budget) || model === OFFLINE) {
    return { max_tokens, web, tokens: 0, cost_nano: 0 };
  }
  const { price } = factsAbout(config, model);
  const want = { input_tokens: size.most, output_tokens: max_tokens, web };
  const wanted = { ...want, key, tree_id, budget, model, price };
  const onWait = (why: string) => onPiece({ type: "waiting", why });
  return await setAside(ports, wanted, tries.deadline, signal, onWait);
}

/** The model's own name; a request says which of three it wants. */
function modelOf({ provider }: ModelConfig, request: ModelRequest): string {
  return provider?.models[request.model] ?? OFFLINE;
}

/** What is known about a model by its name, the offline model included. */
export function factsAbout({ models }: Pick<ModelConfig, "models">, name: string): ModelFacts {
  return name === OFFLINE ? OFFLINE_FACTS : factsOf(models, name);
}
