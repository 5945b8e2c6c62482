/** The home page's updates: each line of the list that is new or looks different. */
import { render } from "preact-render-to-string";
import type { Db } from "../../../db/schema.ts";
import { newestTrees, type TreeLine } from "../../../db/trees.ts";
import type { Kernel } from "../../../runtime/kernel.ts";
import { TreeItem, treeItemId, TreeList, TREES_ID } from "./page.tsx";
import { Differ, type Item, morph } from "../../frame/differ.ts";
import type { LivePage } from "../../frame/stream.ts";

export function liveHome(db: Db, clock: Kernel["clock"]): LivePage {
  let trees: readonly TreeLine[] = [];
  const differ = new Differ();
  return {
    async changes() {
      trees = await newestTrees(db);
      return differ.only(linesOf(trees, clock.now()));
    },
    whole() {
      const html = render(<TreeList trees={trees} now={clock.now()} />);
      return Promise.resolve([morph({ id: TREES_ID, html })]);
    },
  };
}

/** Each line belongs behind the one that stands above it. */
function linesOf(trees: readonly TreeLine[], now: number): Item[] {
  return trees.map((tree, index) => {
    const id = treeItemId(tree.id);
    const html = render(<TreeItem tree={tree} now={now} />);
    return {
      id,
      place: index === 0 ? { first_in: TREES_ID } : { behind: treeItemId(trees[index - 1].id) },
      arriving: () => html,
      parts: [{ id, html }],
    };
  });
}
