/**
 * Records the model calls of each tree in a file of its own, and plays such files back instead of asking
 * a model, so that what went wrong somewhere can be gone through again. Works inside the gateway's worker.
 *
 * A file is lines of JSON: a head, then one line a call. Requests of two runs differ in their ids alone:
 * these are compared by the order in which they appear.
 */
import * as z from "zod";
import { CASSETTE_BYTES_MAX } from "../core/limits.ts";
import type { ModelCall, ModelFailure, ModelReply, Provider } from "../core/model/messages.ts";
import { scrub } from "../core/model/scrub.ts";
import { issuesOf } from "../core/toolkit/mod.ts";
import type { Gateway } from "../ports.ts";

const VERSION = 1;

/** Whether model calls are recorded or played back, and where. */
export interface Cassette {
  readonly mode: "record" | "replay";
  readonly folder: string;
}

const alias = z.string();
const head = z.object({
  troupe_cassette: z.literal(VERSION),
  models: z.object({ fast: alias, default: alias, strong: alias }),
});
const line = z.object({
  request: z.looseObject({ system: z.array(z.unknown()), messages: z.array(z.unknown()) }),
  answer: z.looseObject({}),
});

/**
 * Writes down what is answered, beside asking.
 * @param secrets what must not stand in the files, besides what looks like a secret
 */
export function recording(
  ask: Gateway["ask"],
  folder: string,
  models: Provider["models"],
  secrets: readonly string[],
): Gateway["ask"] {
  const files = new Map<string, Promise<number>>();
  const first = JSON.stringify({ troupe_cassette: VERSION, models });
  return async (call, signal, onPiece) => {
    const answer = await ask(call, signal, onPiece);
    const text = scrub(JSON.stringify({ request: call.request, answer }), secrets);
    const path = `${folder}/${call.tree_id}.jsonl`;
    // One after the other, and before the reply is anybody's: what is journaled is recorded.
    const before = files.get(path) ?? append(path, first, 0);
    const written = before.then((bytes) => append(path, text, bytes));
    files.set(path, written);
    await written;
    return answer;
  };
}

/** Adds a line to a file; gives the bytes that it has then. A file that is full stays as it is. */
async function append(path: string, text: string, bytes: number): Promise<number> {
  // A kernel that was started anew goes on with the file.
  const known = bytes || (await Deno.stat(path).catch(() => null))?.size || 0;
  if (bytes === 0 && known > 0) return known;
  const more = new TextEncoder().encode(`${text}\n`);
  if (known + more.length > CASSETTE_BYTES_MAX) return known;
  await Deno.writeFile(path, more, { append: true, mode: 0o600 });
  return known + more.length;
}

/** A recorded call, its ids taken out. */
interface Recorded {
  readonly plain: string;
  readonly ids: readonly string[];
  readonly answer: string;
}

/**
 * Answers from every recording in a folder.
 * @throws {Error} that names the file and what is wrong with it
 */
export async function playing(folder: string): Promise<Gateway["ask"]> {
  const recorded = new Map<string, Recorded[]>();
  for (const name of await namesIn(folder)) {
    const [first, ...lines] = await linesOf(folder, name);
    parsed(head, first, `${name}:1`);
    lines.forEach((text, index) => {
      const { request, answer } = parsed(line, text, `${name}:${index + 2}`);
      const { plain, ids } = withoutIds(keyOf(request));
      const same = recorded.get(plain) ?? [];
      same.push({ plain, ids, answer: JSON.stringify(answer) });
      recorded.set(plain, same);
    });
  }
  return (call) => Promise.resolve(play(recorded, scrub(keyOf(call.request), [])));
}

/**
 * The models that were asked in the recordings of a folder.
 * @throws {Error} when there are none, or the first is no recording
 */
export async function recordedModels(folder: string): Promise<Provider["models"]> {
  const [name] = await namesIn(folder);
  if (!name) {
    throw new Error(`There is nothing to replay: put a recording (TREE.jsonl) into ${folder}`);
  }
  const [first] = await linesOf(folder, name);
  return parsed(head, first, `${name}:1`).models;
}

async function linesOf(folder: string, name: string): Promise<string[]> {
  return (await Deno.readTextFile(`${folder}/${name}`)).trimEnd().split("\n");
}

async function namesIn(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(() => []);
  return entries.map(({ name }) => name).filter((name) => name.endsWith(".jsonl")).sort();
}

/** The answer to the same request; asked more often than recorded, the last one comes again. */
function play(
  recorded: ReadonlyMap<string, Recorded[]>,
  request: string,
): ModelReply | ModelFailure {
  const { plain, ids } = withoutIds(request);
  const same = recorded.get(plain);
  if (!same) {
    return {
      failed: `No recorded call fits this one: ${difference(recorded, plain)}`,
      concerns: "task",
    };
  }
  const { answer, ids: old } = same.length > 1 ? same.shift()! : same[0];
  // Where an answer names one of the recorded ids, this run's own is meant.
  const own = new Map(old.map((id, index) => [id, ids[index]]));
  return JSON.parse(answer.replace(ULID, (id) => own.get(id) ?? id));
}

/** What a model answers to; how long the answer may be depends on what a tree has used up. */
function keyOf({ max_tokens: _, ...request }: Record<string, unknown> | ModelCall["request"]) {
  return JSON.stringify(request);
}

const ULID = /\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b/g;

function withoutIds(text: string): { plain: string; ids: string[] } {
  const ids: string[] = [];
  const plain = text.replace(ULID, (id) => {
    if (!ids.includes(id)) ids.push(id);
    return `{id ${ids.indexOf(id) + 1}}`;
  });
  return { plain, ids };
}

/** Where the request leaves the recorded one that it follows longest. */
function difference(recorded: ReadonlyMap<string, unknown>, plain: string): string {
  let place = 0;
  let nearest = "";
  for (const other of recorded.keys()) {
    let same = 0;
    while (same < plain.length && plain[same] === other[same]) same++;
    if (same >= place) [place, nearest] = [same, other];
  }
  const around = (text: string) => `… ${text.slice(Math.max(0, place - 40), place + 80)} …`;
  return `it has ${around(plain)} where the nearest has ${around(nearest)}`;
}

function parsed<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${where} is no recording of Troupe's: not JSON`);
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new Error(`${where} is no recording of Troupe's: ${issuesOf(result.error)}`);
  }
  // As it was written: two requests are compared by the order of their fields too.
  return value as T;
}
