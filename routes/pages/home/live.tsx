/** The home page's updates: each line of the list that is new or looks different. */
import type { Kysely } from "kysely";
import { render } from "preact-render-to-string";
import type { Schema } from "../../../db/schema.ts";
import { newestTrees, type TreeLine } from "../../../db/views/pages.ts";
import type { Clock } from "../../../runtime/ports.ts";
import { TreeItem, treeItemId, TreeList, TREES_ID } from "./page.tsx";
import { type LivePage, swap } from "../../frame/stream.ts";

export function liveHome(db: Kysely<Schema>, clock: Clock): LivePage {
  let trees: readonly TreeLine[] = [];
  let shown = new Map<string, string>();
  return {
    async changes() {
      trees = await newestTrees(db);
      const now = clock.now();
      const lines = new Map(
        trees.map((tree) => [tree.id, render(<TreeItem tree={tree} now={now} />)]),
      );
      const swaps = [
        ...[...shown.keys()].filter((id) => !lines.has(id))
          .map((id) => swap("delete", treeItemId(id), "")),
        ...arrivals([...lines.keys()], shown, lines),
        ...[...lines].filter(([id, html]) => shown.has(id) && shown.get(id) !== html)
          .map(([id, html]) => swap("outerMorph", treeItemId(id), html)),
      ];
      shown = lines;
      return swaps;
    },
    whole() {
      const list = render(<TreeList trees={trees} now={clock.now()} />);
      return Promise.resolve([swap("outerMorph", TREES_ID, list)]);
    },
  };
}

/** Each new line behind the one that stands above it. */
function arrivals(
  ids: readonly string[],
  shown: ReadonlyMap<string, string>,
  lines: ReadonlyMap<string, string>,
): string[] {
  return ids.flatMap((id, index) => {
    if (shown.has(id)) return [];
    return index === 0
      ? swap("afterbegin", TREES_ID, lines.get(id)!)
      : swap("afterend", treeItemId(ids[index - 1]), lines.get(id)!);
  });
}
