/**
 * A tree knows what its tasks have used: neither a model call's place in a budget nor a page adds up all
 * tasks anew. And the tasks of a tree are found in the order in which they began.
 */
import { type Kysely, sql } from "kysely";

const COUNTS = [
  "input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "output_tokens",
  "cost_nano",
  "unpriced_calls",
];

// deno-lint-ignore no-explicit-any -- a migration must not follow the schema of later versions
export async function up(db: Kysely<any>): Promise<void> {
  const sum = (of: string) => `coalesce((SELECT ${of} FROM tasks WHERE tree_id = trees.id), 0)`;
  const statements = [
    ...COUNTS.map((count) => `ALTER TABLE trees ADD COLUMN ${count} INTEGER NOT NULL DEFAULT 0`),
    `ALTER TABLE trees ADD COLUMN model TEXT`,
    `UPDATE trees SET ${COUNTS.map((count) => `${count} = ${sum(`sum(${count})`)}`)},
      model = (SELECT max(model) FROM tasks WHERE tree_id = trees.id)`,
    `CREATE TRIGGER task_uses AFTER UPDATE OF model, ${COUNTS} ON tasks
      BEGIN
        UPDATE trees SET ${
      COUNTS.map((count) => `${count} = ${count} + NEW.${count} - OLD.${count}`)
    },
          model = coalesce(max(model, NEW.model), NEW.model, model)
          WHERE id = NEW.tree_id;
      END`,
    // By the number of the row alone, which is the order of the commits.
    `DROP INDEX tasks_by_tree`,
    `CREATE INDEX tasks_by_tree ON tasks (tree_id)`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
