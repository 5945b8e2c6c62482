/**
 * Asks the model: assembles the prompt from the journal, has the call made within the tree's budget, and
 * says what became of the turn. A conversation that outgrows the window is summarised first.
 */
import { findDocuments } from "../../db/definitions.ts";
import { findMedia, type Media, mediaSizes } from "../../db/media.ts";
import {
  MESSAGE_BYTES_MAX,
  MODEL_OUTPUT_TOKENS_MAX,
  PROMPT_MEDIA_BYTES_MAX,
  SUMMARY_TOKENS_MAX,
  WINDOW_SHARE,
} from "../core/limits.ts";
import {
  type MediaBlock,
  type ModelReply,
  type ModelRequest,
  textOf,
} from "../core/model/messages.ts";
import { OFFLINE } from "../core/model/offline.ts";
import { assemblePrompt, conversation, mediaNamed } from "../core/model/prompt.ts";
import type { Message } from "../core/protocol.ts";
import { bytesOfJson, wellFormed, wellFormedWithin } from "../core/text.ts";
import { definitionOf } from "../core/toolkit/mod.ts";
import {
  coveredBy,
  coveredPart,
  markOf,
  type PromptSize,
  sizeOf,
  summaryRequest,
} from "../core/model/window.ts";
import { journalOf } from "../../db/entries.ts";
import { documentsOf, taskOf } from "../../db/definitions.ts";
import { toolsOf } from "../../db/tools.ts";
import { treeOf } from "../../db/trees.ts";
import type { Db } from "../../db/schema.ts";
import type { Outcome, Performers } from "../commands/outcome.ts";
import {
  charge,
  factsAbout,
  type ModelConfig,
  type ModelPorts,
  spend,
  type Spender,
  type Unspent,
} from "./account.ts";
import { Tries } from "./tries.ts";

/** A turn of a task that is to be asked for. */
interface AskedTurn extends Spender {
  readonly journal: readonly Message[];
  readonly request: ModelRequest;
}

/** The performer of turns. */
export function modelPerformer(ports: ModelPorts, config: ModelConfig): Performers["ask_model"] {
  return (asked, signal) => askModel(ports, config, asked, signal);
}

/**
 * One turn of a task. Whatever may be expected is an outcome, and all that is worth it was tried again.
 * @throws {Error} when the store died; and the signal's reason
 */
async function askModel(
  ports: ModelPorts,
  config: ModelConfig,
  { key, address, turn }: { readonly key: string; readonly address: string; readonly turn: number },
  signal: AbortSignal,
): Promise<Outcome> {
  const asked = await turnOf(ports, config, key, address, turn);
  const { context_tokens } = asked.facts;
  const prompt = markOf(asked.request, asked.journal.length);
  const size = sizeOf(asked.request, asked.journal, prompt);
  const room = Math.min(MODEL_OUTPUT_TOKENS_MAX, asked.facts.output_tokens, context_tokens / 4);
  if (size.likely + room > context_tokens * WINDOW_SHARE) {
    const shorter = await compacted(ports, config, asked, size, context_tokens, signal);
    if (shorter) return shorter;
  }
  const request = { ...asked.request, max_tokens: Math.floor(room) };
  const answer = await spend(ports, config, { ...asked, request, size }, signal);
  if ("failed" in answer && answer.concerns === "too_long") {
    // What was set aside for it is free for the summary.
    await charge(ports, asked, answer.cost);
    // The window is smaller than was known: by how much nobody says.
    const shorter = await compacted(ports, config, asked, size, size.likely * 0.8, signal);
    return shorter ?? failure(asked, { ...answer, cost: [] });
  }
  if ("failed" in answer) return failure(asked, answer);
  const { reply, cost: anyway } = answer;
  const message: Message = wellFormedWithin({ type: "model.replied", turn, ...reply, prompt });
  if (bytesOfJson(JSON.stringify(message)) > MESSAGE_BYTES_MAX) {
    const reason = `The model's reply is longer than ${MESSAGE_BYTES_MAX} bytes`;
    return { type: "replied", anyway, reply: { type: "model.failed", turn, reason } };
  }
  return { type: "replied", anyway, reply: message };
}

/** Everything that is written down about the turn. */
async function turnOf(
  ports: ModelPorts,
  config: ModelConfig,
  key: string,
  task_id: string,
  turn: number,
) {
  const db = ports.store.read;
  const [{ task, agent }, documents, tools, journal] = await Promise.all([
    taskOf(db, task_id),
    documentsOf(db, task_id).then((names) => findDocuments(db, names)),
    toolsOf(db, task_id),
    journalOf(db, task_id),
  ]);
  const { tree_id, timeout_seconds } = task;
  const { budget, priority } = await treeOf(db, tree_id);
  const facts = factsAbout(config, config.provider?.models[agent.model] ?? OFFLINE);
  const media = await mediaOf(db, mediaNamed(journal));
  const request = assemblePrompt({
    model: agent.model,
    max_tokens: MODEL_OUTPUT_TOKENS_MAX,
    web: agent.web_search && facts.web,
    agent,
    task,
    documents,
    tools: tools.map(definitionOf),
    media: new Map(media.map((one) => [one.hash, blockOf(one)])),
    journal,
  });
  const asked: AskedTurn = {
    ...{ key, task_id, tree_id, turn, priority, budget, timeout_seconds },
    ...{ journal, request, tries: new Tries(ports, config.patience) },
  };
  return { ...asked, facts };
}

/** The newest of them, as many as one request can carry; the others are known by their names alone. */
async function mediaOf(db: Db, hashes: readonly string[]): Promise<Media[]> {
  const sizes = new Map(
    (await mediaSizes(db, hashes)).map(({ hash, bytes }) => [hash, bytes]),
  );
  const carried = new Set<string>();
  let bytes = 0;
  for (const hash of hashes.toReversed()) {
    if (carried.has(hash)) continue;
    bytes += sizes.get(hash) ?? 0;
    if (bytes > PROMPT_MEDIA_BYTES_MAX) break;
    carried.add(hash);
  }
  return await findMedia(db, [...carried]);
}

function blockOf(
  { media_type, base64 }: { media_type: string; base64: string },
): MediaBlock {
  return {
    type: media_type.startsWith("image/") ? "image" : "document",
    source: { type: "base64", media_type, data: base64 },
  };
}

/** Has the older turns summarised; null when that would not make the prompt any shorter. */
async function compacted(
  ports: ModelPorts,
  config: ModelConfig,
  asked: AskedTurn,
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
  const answer = await spend(ports, config, { ...asked, request, size }, signal);
  if ("failed" in answer) return failure(asked, answer);
  const summary = wellFormed(textOf(answer.reply.content));
  if (summary === "") {
    const reason = "The conversation is too long for the model, and its summary came out empty";
    return { type: "replied", anyway: answer.cost, reply: { type: "model.failed", turn, reason } };
  }
  const { model, usage } = answer.reply;
  return {
    type: "replied",
    anyway: answer.cost,
    reply: { type: "context.compacted", turn, covers, summary, model, usage },
  };
}

/** What becomes of a turn that has no reply: its task fails, or its whole tree does. */
function failure(
  { turn, journal }: AskedTurn,
  { failed, concerns, cost: anyway }: Unspent,
): Outcome {
  const reason = wellFormed(failed);
  if (concerns === "tree") {
    return { type: "tree_failed", reason, anyway };
  }
  // What the task had said last is all that there is of a result.
  const last = journal.findLast(({ type }) => type === "model.replied");
  // Such an entry was written above, out of a reply.
  const said = last ? textOf((last as unknown as ModelReply).content) : "";
  const partial = said === "" ? {} : { partial: said };
  return {
    type: "replied",
    anyway,
    reply: { type: "model.failed", turn, reason, ...partial },
  };
}
