/** What was commanded from outside of a task, and by whom: the journal of commands. */
import { prepared, query } from "./unit.ts";

/** Writes a command down, in the unit of what it does. */
export const noteCommand = prepared<
  {
    id: string;
    verb: string;
    by: string;
    command_json: string;
    tree_id: string | null;
    now: number;
  }
>((row) =>
  query.insertInto("commands").values({
    id: row.id,
    verb: row.verb,
    by: row.by,
    command_json: row.command_json,
    tree_id: row.tree_id,
    created_at: row.now,
  })
);
