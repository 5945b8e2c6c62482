/** Answers to POSTs that a client may repeat under the same key. */
import type { Db } from "./schema.ts";
import { query, type Statement, statement } from "./unit.ts";

/** Remembers an answer, in the transaction of what it answers; refused when the key is taken. */
export function rememberAnswer(
  key: string,
  request: string,
  response: unknown,
  now: number,
): Statement {
  return statement(
    query.insertInto("idempotency_keys")
      .values({ key, request, response_json: JSON.stringify(response), created_at: now }),
  );
}

/** What was answered under a key, and to which request. */
export function answerOf(
  db: Db,
  key: string,
): Promise<{ request: string; response_json: string } | undefined> {
  return db.selectFrom("idempotency_keys").select(["request", "response_json"])
    .where("key", "=", key).executeTakeFirst();
}
