/** A command that comes again under the key of the same one is not done again: it gets the first answer. */
import { answerOf, rememberAnswer } from "../../db/idempotency_keys.ts";
import type { Db } from "../../db/schema.ts";
import type { Statement } from "../../db/unit.ts";
import { type By, byText, type Command } from "../core/command.ts";
import { KeyTaken } from "../core/refusal.ts";
import type { AnswerTo } from "./mod.ts";

/** Two callers never meet in one key. */
export function keyOf(by: By, idempotency_key: string): string {
  return `${byText(by)} ${idempotency_key}`;
}

/** For the transaction of what is answered; of two at once the second one is refused. */
export function remember(key: string, command: Command, answer: unknown, now: number): Statement {
  return rememberAnswer(key, JSON.stringify(command), answer, now);
}

/**
 * What was answered under the key; null when nothing was.
 * @throws {KeyTaken} when the key stands for another command
 */
export async function answeredBefore<C extends Command>(
  read: Db,
  key: string,
  command: C,
): Promise<{ readonly answer: AnswerTo<C> } | null> {
  const before = await answerOf(read, key);
  if (!before) return null;
  if (before.request !== JSON.stringify(command)) {
    throw new KeyTaken("Idempotency-Key: was used for another request before");
  }
  return { answer: JSON.parse(before.response_json) };
}
