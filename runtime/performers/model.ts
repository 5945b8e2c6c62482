/**
 * Asks the model: assembles the prompt from the journal, sets aside what the call may cost, hands it to
 * the gateway, and writes down what it used. A prompt that outgrows the window is summarised first.
 */
import { actorProgresses } from "../../db/actors.ts";
import { findDocuments } from "../../db/definitions.ts";
import { findMedia, type Media, mediaSizes } from "../../db/media.ts";
import { accountOf, loseReservation, release, reserve } from "../../db/reservations.ts";
import { addUsage } from "../../db/tasks.ts";
import type { Statement } from "../../db/unit.ts";
import { cancelling } from "../cancelling.ts";
import {
  boundsModels,
  costOf,
  type Grant,
  grant,
  leftOf,
  NANO,
  type Want,
} from "../core/budget.ts";
import {
  MESSAGE_BYTES_MAX,
  MODEL_DEADLINE_MS,
  MODEL_OUTPUT_TOKENS_MAX,
  MODEL_PROGRESS_MS,
  PROMPT_MEDIA_BYTES_MAX,
  STUCK_LOOKS,
  SUMMARY_TOKENS_MAX,
  TOKEN_BYTES,
  WINDOW_SHARE,
} from "../core/limits.ts";
import {
  type MediaBlock,
  type ModelFailure,
  type ModelReply,
  type ModelRequest,
  NO_USAGE,
  type Piece,
  textOf,
  type Usage,
} from "../core/model.ts";
import { factsOf, OFFLINE_FACTS } from "../core/models.ts";
import { OFFLINE } from "../core/offline.ts";
import { assemblePrompt, conversation, mediaNamed } from "../core/prompt.ts";
import type { Budget, Message } from "../core/protocol.ts";
import { definitionOf } from "../core/toolkit.ts";
import {
  coveredBy,
  coveredPart,
  markOf,
  type PromptSize,
  sizeOf,
  summaryRequest,
} from "../core/window.ts";
import type { Parts } from "../kernel.ts";
import { documentsOf, taskOf, toolsOf } from "./context.ts";
import type { Outcome } from "./mod.ts";

/** A turn of a task that is to be asked for. */
interface Turn {
  /** The effect's. */
  readonly key: string;
  readonly task_id: string;
  readonly tree_id: string;
  readonly root_id: string;
  readonly turn: number;
  readonly priority: number;
  readonly budget: Budget;
  readonly timeout_seconds: number;
  readonly journal: readonly Message[];
  readonly request: ModelRequest;
}

/**
 * One turn of a task.
 * @throws {Error} when the gateway fails or a stream breaks off; asking again is harmless
 */
export async function askModel(
  parts: Parts,
  { key, address, turn }: { key: string; address: string; turn: number },
  signal: AbortSignal,
): Promise<Outcome> {
  const asked = await turnOf(parts, key, address, turn);
  const { context_tokens } = asked.facts;
  const size = sizeOf(asked.request, asked.journal);
  const room = Math.min(MODEL_OUTPUT_TOKENS_MAX, asked.facts.output_tokens, context_tokens / 4);
  if (size.likely + room > context_tokens * WINDOW_SHARE) {
    const shorter = await compacted(parts, asked, size, context_tokens, signal);
    if (shorter) return shorter;
  }
  const request = { ...asked.request, max_tokens: Math.floor(room) };
  const answer = await spend(parts, asked, request, size, signal);
  if ("failed" in answer && answer.concerns === "too_long") {
    // The window is smaller than was known: by how much nobody says.
    const shorter = await compacted(parts, asked, size, size.likely * 0.8, signal);
    if (shorter) return { ...shorter, anyway: [...answer.cost, ...shorter.anyway ?? []] };
  }
  if ("failed" in answer) return await failure(parts, asked, answer);
  const { reply, cost: anyway } = answer;
  const prompt = markOf(request, asked.journal.length);
  const message: Message = { type: "model.replied", turn, ...reply, prompt };
  if (JSON.stringify(message).length > MESSAGE_BYTES_MAX) {
    const reason = `The model's reply is longer than ${MESSAGE_BYTES_MAX} bytes`;
    return { anyway, reply: { type: "model.failed", turn, reason } };
  }
  return { anyway, reply: message };
}

/** Everything that is written down about the turn. */
async function turnOf(parts: Parts, key: string, task_id: string, turn: number) {
  const db = parts.store.read;
  const [{ task, agent }, documents, tools, entries] = await Promise.all([
    taskOf(db, task_id),
    documentsOf(db, task_id).then((names) => findDocuments(db, names)),
    toolsOf(db, task_id),
    db.selectFrom("entries").select("message_json").where("task_id", "=", task_id)
      .orderBy("seq").execute(),
  ]);
  const { tree_id, timeout_seconds } = task;
  const { budget_json, root_id, priority } = await db.selectFrom("trees")
    .select(["budget_json", "root_id", "priority"]).where("id", "=", tree_id)
    .executeTakeFirstOrThrow();
  const journal = entries.map(({ message_json }) => JSON.parse(message_json) as Message);
  const media = await mediaOf(parts, mediaNamed(journal));
  const request = assemblePrompt({
    model: agent.model,
    max_tokens: MODEL_OUTPUT_TOKENS_MAX,
    web: agent.web_search,
    agent,
    task,
    documents,
    tools: tools.map(definitionOf),
    media: new Map(media.map((one) => [one.hash, blockOf(one)])),
    journal,
  });
  const budget = JSON.parse(budget_json) as Budget;
  const asked: Turn = {
    ...{ key, task_id, tree_id, root_id, turn, priority, budget, timeout_seconds },
    ...{ journal, request },
  };
  return { ...asked, facts: factsAbout(parts, parts.provider?.models[agent.model] ?? OFFLINE) };
}

/** The newest of them, as many as one request can carry; the others are known by their names alone. */
async function mediaOf({ store }: Parts, hashes: readonly string[]): Promise<Media[]> {
  const sizes = new Map(
    (await mediaSizes(store.read, hashes)).map(({ hash, bytes }) => [hash, bytes]),
  );
  const carried = new Set<string>();
  let bytes = 0;
  for (const hash of hashes.toReversed()) {
    if (carried.has(hash)) continue;
    bytes += sizes.get(hash) ?? 0;
    if (bytes > PROMPT_MEDIA_BYTES_MAX) break;
    carried.add(hash);
  }
  return await findMedia(store.read, [...carried]);
}

function blockOf(
  { media_type, base64 }: { media_type: string; base64: string },
): MediaBlock {
  return {
    type: media_type.startsWith("image/") ? "image" : "document",
    source: { type: "base64", media_type, data: base64 },
  };
}

function factsAbout({ models }: Parts, name: string) {
  return name === OFFLINE ? OFFLINE_FACTS : factsOf(models, name);
}

/** A reply or a failure, with what it cost. */
type Spent =
  & { readonly cost: readonly Statement[] }
  & ({ readonly reply: ModelReply } | ModelFailure);

/**
 * Makes a call within the tree's budget: what it may cost is set aside before, and what it did cost is
 * written down after, also when it is called off or breaks off.
 */
async function spend(
  parts: Parts,
  asked: Turn,
  request: ModelRequest,
  size: PromptSize,
  signal: AbortSignal,
): Promise<Spent> {
  const { key, task_id, tree_id, priority } = asked;
  const model = parts.provider?.models[request.model] ?? OFFLINE;
  const want = { input_tokens: size.most, output_tokens: request.max_tokens, web: request.web };
  const set_aside = await setAside(parts, asked, want, model, signal);
  if ("failed" in set_aside) return { ...set_aside, cost: [] };
  const draft = parts.drafts.open(task_id, tree_id, asked.turn);
  const meter = new Meter(model);
  const progress = new Progress(parts, asked);
  const costs = (usage: Usage, answered: string): Statement[] => {
    const price = factsAbout(parts, answered).price ?? factsAbout(parts, model).price;
    const used = { id: task_id, model: answered, usage, cost_nano: costOf(usage, price) };
    return [...usage === NO_USAGE ? [] : [addUsage(used)], release({ key })];
  };
  try {
    const call = {
      request: { ...request, max_tokens: set_aside.max_tokens, web: set_aside.web },
      ...{ task_id, tree_id, priority },
      input_tokens: size.fresh,
    };
    const answer = await parts.gateway.ask(call, signal, (piece) => {
      meter.take(piece);
      progress.take(piece);
      draft.write(piece);
    });
    if (!("failed" in answer)) return { reply: answer, cost: costs(answer.usage, answer.model) };
    if (answer.concerns === "again") throw new Error(answer.failed);
    return { ...answer, cost: costs(meter.used(), meter.model) };
  } catch (error) {
    // Called off or broken off in its middle: the provider counts what it had said.
    await parts.store.commit(costs(meter.used(), meter.model));
    throw error;
  } finally {
    progress.end();
    draft.close();
  }
}

/** Counts what a call has used that does not come to its end. */
class Meter {
  model: string;
  #usage: Usage = NO_USAGE;
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

  /** Tokens out are counted at the end only: until then the text tells about how many. */
  used(): Usage {
    if (this.#usage === NO_USAGE) return NO_USAGE;
    const said = Math.ceil(this.#characters / TOKEN_BYTES);
    return { ...this.#usage, output_tokens: Math.max(this.#usage.output_tokens, said) };
  }
}

/** While the model is heard, or others are waited for, its task is not stuck. */
class Progress {
  readonly #touch: () => void;
  readonly #every: number;
  readonly #parts: Parts;
  #next: number;
  #callOff = () => {};

  constructor(parts: Parts, { task_id, timeout_seconds }: Turn) {
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
  parts: Parts,
  { key, tree_id, budget }: Turn,
  want: Want,
  model: string,
  signal: AbortSignal,
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
  const deadline = clock.now() + MODEL_DEADLINE_MS;
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
      const cost_nano_max = budget.cost_usd === undefined
        ? null
        : Math.floor(budget.cost_usd * NANO);
      const bounds = { tokens_max: budget.tokens ?? null, cost_nano_max };
      const result = await store.commit([
        // A call that a crash cut off was made under this key: what it cost nobody knows.
        loseReservation({ key, lost_key: `${key}/${ids.next()}` }),
        reserve({ key, tree_id, tokens, cost_nano, ...bounds, now: clock.now() }),
      ]);
      if (result.ok) return granted;
      if (!result.refused) throw new Error(result.reason);
    } else if (clock.now() > deadline) {
      return refused("the tree's other calls hold what is left of it");
    } else await new Promise<void>((resolve) => clock.after(BUDGET_LOOK_MS, resolve));
    signal.throwIfAborted();
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

/** Has the older turns summarised; null when that would not make the prompt any shorter. */
async function compacted(
  parts: Parts,
  asked: Turn,
  size: PromptSize,
  context_tokens: number,
  signal: AbortSignal,
): Promise<Outcome | null> {
  const { journal, turn } = asked;
  const covers = coveredBy(journal, context_tokens);
  if (covers === null) return null;
  const covered = conversation(coveredPart(journal, covers));
  const max_tokens = Math.floor(Math.min(SUMMARY_TOKENS_MAX, context_tokens / 8));
  const request = summaryRequest(asked.request, covered, context_tokens, max_tokens);
  // Part of a prompt whose size is known: its own can only be smaller.
  const answer = await spend(parts, asked, request, size, signal);
  if ("failed" in answer) return await failure(parts, asked, answer);
  const summary = textOf(answer.reply.content);
  if (summary === "") {
    const reason = "The conversation is too long for the model, and its summary came out empty";
    return { anyway: answer.cost, reply: { type: "model.failed", turn, reason } };
  }
  const { model, usage } = answer.reply;
  return {
    anyway: answer.cost,
    reply: { type: "context.compacted", turn, covers, summary, model, usage },
  };
}

/** What becomes of a turn that has no reply: its task fails, or its whole tree does. */
async function failure(
  parts: Parts,
  { turn, tree_id, root_id, journal }: Turn,
  { failed: reason, concerns, cost: anyway }: ModelFailure & Pick<Spent, "cost">,
): Promise<Outcome> {
  if (concerns === "tree") {
    parts.log(`Tree ${tree_id} is stopped: ${reason}`);
    const cut = await cancelling(parts, root_id, { status: "failed", result: null, reason });
    return { ...cut, anyway };
  }
  // What the task had said last is all that there is of a result.
  const last = journal.findLast(({ type }) => type === "model.replied");
  const said = last ? textOf((last as unknown as ModelReply).content) : "";
  const partial = said === "" ? {} : { partial: said };
  return { anyway, reply: { type: "model.failed", turn, reason, ...partial } };
}
