/** What model calls used: added up in the row of each task, and from there over a tree. */
import { type Selectable, sql } from "kysely";
import { NANO } from "../runtime/core/model/budget.ts";
import type { Usage } from "../runtime/core/model/messages.ts";
import type { Db, TasksTable } from "./schema.ts";
import { prepared, query, type Statement } from "./unit.ts";

/** Adds what one model call used. A cost of null is unknown: the task's is from then on. */
export function addUsage(
  { id, model, usage, cost_nano }: {
    id: string;
    model: string;
    usage: Usage;
    cost_nano: number | null;
  },
): Statement {
  const { web_searches: _, ...tokens } = usage;
  const unpriced = cost_nano === null ? 1 : 0;
  return used({ id, model, ...tokens, cost_nano: cost_nano ?? 0, unpriced });
}

const used = prepared<
  Omit<Usage, "web_searches"> & { id: string; model: string; cost_nano: number; unpriced: number }
>((row) =>
  query.updateTable("tasks")
    .set({
      model: row.model,
      input_tokens: sql`input_tokens + ${row.input_tokens}`,
      cache_read_tokens: sql`cache_read_tokens + ${row.cache_read_tokens}`,
      cache_write_tokens: sql`cache_write_tokens + ${row.cache_write_tokens}`,
      output_tokens: sql`output_tokens + ${row.output_tokens}`,
      cost_nano: sql`cost_nano + ${row.cost_nano}`,
      unpriced_calls: sql`unpriced_calls + ${row.unpriced}`,
      version: sql`version + 1`,
    })
    .where("id", "=", row.id)
);

/** What pages show of it. */
export const USAGE = [
  "input_tokens",
  "cache_read_tokens",
  "output_tokens",
  "cost_nano",
  "unpriced_calls",
] as const;

export type UsageCounts = Record<typeof USAGE[number], number>;

/** What all tasks of a tree used, and what answered them. */
export async function usageOf(db: Db, tree_id: string) {
  const sum = (column: keyof UsageColumns) => sql<number>`coalesce(sum(${sql.ref(column)}), 0)`;
  const row = await db.selectFrom("tasks")
    .select(({ fn }) => [
      fn.max("model").as("model"),
      sum("input_tokens").as("input_tokens"),
      sum("cache_read_tokens").as("cache_read_tokens"),
      sum("cache_write_tokens").as("cache_write_tokens"),
      sum("output_tokens").as("output_tokens"),
      sum("cost_nano").as("cost_nano"),
      sum("unpriced_calls").as("unpriced_calls"),
    ])
    .where("tree_id", "=", tree_id).executeTakeFirstOrThrow();
  return { model: row.model, usage: usageView(row) };
}

type UsageColumns = Pick<
  Selectable<TasksTable>,
  | "input_tokens"
  | "cache_read_tokens"
  | "cache_write_tokens"
  | "output_tokens"
  | "cost_nano"
  | "unpriced_calls"
>;

/** Tokens as counted; the cost is null when some of it is unknown, and never zero instead. */
export function usageView(row: UsageColumns) {
  return {
    input_tokens: row.input_tokens,
    cache_read_tokens: row.cache_read_tokens,
    cache_write_tokens: row.cache_write_tokens,
    output_tokens: row.output_tokens,
    cost_usd: row.unpriced_calls > 0 ? null : row.cost_nano / NANO,
  };
}
