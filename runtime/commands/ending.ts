/** How a task ends from outside, with everything below it: shared by the verbs and the loop. */
import { cutBy, endSubtree, parentTold } from "../../db/endings.ts";
import type { Address, Ending } from "../core/protocol.ts";
import type { Clock, Ids } from "../ports.ts";
import type { Work } from "./work.ts";

/**
 * @param task which of them, in which tree
 * @param spared tasks below it that go on
 */
export function ending(
  { clock, ids }: { readonly clock: Clock; readonly ids: Ids },
  { id, tree_id, priority }: { id: Address; tree_id: string; priority: number },
  end: Ending,
  spared: readonly Address[] = [],
): Omit<Work, "answer"> {
  const unit = endSubtree({ id }, end, { envelope: ids.next() }, spared, clock.now());
  return {
    unit,
    concerned: (rows) => {
      const own = rows.slice(0, unit.length);
      const parent = parentTold(own);
      return {
        trees: [tree_id],
        drop: cutBy(own),
        wake: parent === null ? [] : [{ address: parent, tree_id, priority, urgent: false }],
      };
    },
    tree_id,
  };
}
