/** How queries reach a connection: reads beside each other, what may stand in a transaction one by one. */
import assert from "node:assert/strict";
import { kyselyOver } from "../../db/dialect.ts";
import type { Schema } from "../../db/schema.ts";
import { until } from "../support/until.ts";

/** Asks twice, and answers nothing until the test says so. */
async function askedTwice(transactions: boolean) {
  const answers: PromiseWithResolvers<[]>[] = [];
  const db = kyselyOver<Schema>(() => {
    const answer = Promise.withResolvers<[]>();
    answers.push(answer);
    return answer.promise;
  }, transactions);
  const ask = () => db.selectFrom("trees").select("id").execute();
  const asked = Promise.all([ask(), ask()]);
  await until("a query", () => answers.length > 0);
  // Whatever could reach the connection by now has.
  await new Promise((resolve) => setImmediate(resolve));
  const at_once = answers.length;
  answers[0].resolve([]);
  await until("the other query", () => answers.length === 2);
  answers[1].resolve([]);
  await asked;
  return at_once;
}

Deno.test("a read does not wait until the one before it was answered", async () => {
  assert.equal(await askedTwice(false), 2);
});

Deno.test("who may begin a transaction has the connection to itself", async () => {
  assert.equal(await askedTwice(true), 1);
});
