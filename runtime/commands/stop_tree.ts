/** `stop_tree`: the whole of a tree ends as failed, because nothing in it could fare any better. */
import { treeOf } from "../../db/trees.ts";
import type { VerbOf } from "../core/command.ts";
import { ending } from "./ending.ts";
import type { Verb } from "./work.ts";

export const stopTree: Verb<VerbOf<"stop_tree">> = async (reading, { tree_id, reason }) => {
  const { root_id, priority } = await treeOf(reading.read, tree_id);
  const root = { id: root_id, tree_id, priority };
  return { ...ending(reading, root, { status: "failed", result: null, reason }), answer: {} };
};
