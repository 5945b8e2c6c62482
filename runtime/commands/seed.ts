/** Writes seeds into a database, before a kernel runs on it: the one thing that is written for nobody. */
import { type Definitions, type Seeding, seeding } from "../../db/seeding.ts";
import { type Store, StoreError } from "../../db/store.ts";
import { commitAndTell, NOBODY } from "./commit.ts";

/**
 * @param force whether what a person or an agent wrote is written over, too
 * @returns what was written and what was kept, as `kind name`
 * @throws {StoreError} when nothing could be written
 */
export async function seed(
  store: Store,
  definitions: Definitions,
  force: boolean,
  now: number,
): Promise<Omit<Seeding, "unit">> {
  const { unit, written, kept } = await seeding(store.read, definitions, force, now);
  const result = await commitAndTell({ store, ...NOBODY }, unit, () => ({}));
  if (!result.ok) throw new StoreError(`Cannot write the seeds: ${result.reason}`);
  // A copy of the file alone holds them.
  await store.writeBack();
  return { written, kept };
}
