/** Brings a database to the newest migration. */
import { Migrator } from "kysely/migration";
import { kyselyOver } from "../dialect.ts";
import { migrations } from "./mod.ts";

export async function migrate(run: Parameters<typeof kyselyOver>[0]): Promise<void> {
  const migrator = new Migrator({
    db: kyselyOver(run, true),
    provider: { getMigrations: () => Promise.resolve(migrations) },
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}
