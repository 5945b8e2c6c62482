/** What model calls used: added up in the row of each task, and by the database in that of its tree. */
import { type Selectable, sql } from "kysely";
import { NANO } from "../runtime/core/model/budget.ts";
import type { Usage } from "../runtime/core/model/messages.ts";
import type { TasksTable } from "./schema.ts";
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
