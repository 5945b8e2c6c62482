/** Answers to POSTs that a client may repeat under the same key. */
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

/** Keys older than `before` (ms) may be used again. */
export function forgetAnswers(before: number): Statement {
  return statement(query.deleteFrom("idempotency_keys").where("created_at", "<", before));
}
