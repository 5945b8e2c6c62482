/** Ends a task from outside, with everything below it, in one unit of work. */
import { endTask } from "../../db/tasks.ts";
import type { Store } from "../../db/store.ts";
import type { Statement } from "../../db/unit.ts";
import type { Address, Ending } from "../core/protocol.ts";
import type { Clock, Ids } from "../ports.ts";
import { descendantsOf } from "./begin.ts";

/**
 * The statements that end a task and its live descendants, and whom that concerns.
 * @param spared tasks below it that go on
 */
export async function cancelling(
  { store, ids, clock }: { readonly store: Store; readonly ids: Ids; readonly clock: Clock },
  task_id: Address,
  ending: Ending,
  spared: readonly Address[] = [],
): Promise<{ statements: Statement[]; wake: Address[]; drop: Address[] }> {
  const [task, below] = await Promise.all([
    store.read.selectFrom("tasks").select(["id", "tree_id", "parent_id"])
      .where("id", "=", task_id).executeTakeFirstOrThrow(),
    descendantsOf(store.read, task_id),
  ]);
  const now = clock.now();
  const fresh = () => ({ entry: ids.next(), envelope: ids.next() });
  const reason = `The task above it ended: ${ending.reason ?? ending.status}`;
  const cut = below.map(({ id }) => id).filter((id) => !spared.includes(id));
  return {
    // From the bottom up would tell parents that are about to end; from the top down nobody listens.
    statements: [task_id, ...cut].flatMap((id) =>
      endTask(
        { id, tree_id: task.tree_id },
        id === task_id ? ending : { status: "cancelled", result: null, reason },
        fresh(),
        now,
      )
    ),
    wake: task.parent_id ? [task.parent_id] : [],
    drop: [task_id, ...cut],
  };
}
