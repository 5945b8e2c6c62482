/** A tree page's updates: its head, the tasks that are new, and what changed of the others. */
import { render } from "preact-render-to-string";
import type { Db } from "../../../db/schema.ts";
import { type ShownTask, shownTasks, type TaskMark, taskMarks } from "../../../db/task_views.ts";
import { type ShownTree, shownTree } from "../../../db/trees.ts";
import { PAGE_ROWS_MAX } from "../../../runtime/core/limits.ts";
import type { Draft, DraftHeard } from "../../../runtime/passing/drafts.ts";
import {
  Differ,
  type DraftLooks,
  type Fragment,
  type Item,
  morph,
  saidSwaps,
} from "../../frame/differ.ts";
import type { LivePage } from "../../frame/stream.ts";
import { bodyId, draftBlockId, draftId, headId, itemId, listId, outputId, TREE_ID } from "./ids.ts";
import {
  DraftReply,
  type Family,
  RunningOutput,
  TaskBody,
  TaskHead,
  TaskItem,
  TaskList,
  TreeHead,
} from "./page.tsx";

/** A tree as its page shows it; null when there is none. */
export interface TreeRead {
  readonly tree: ShownTree;
  readonly marks: readonly TaskMark[];
}

export async function readTree(db: Db, id: string): Promise<TreeRead | null> {
  const tree = await shownTree(db, id);
  return tree ? { tree, marks: await taskMarks(db, id) } : null;
}

/** The tasks that the page shows, by their parents. */
export async function readFamily(
  db: Db,
  marks: readonly TaskMark[],
): Promise<Family> {
  const ids = marks.slice(0, PAGE_ROWS_MAX).map(({ id }) => id);
  return Map.groupBy(await shownTasks(db, ids), ({ parent_id }) => parent_id);
}

/** What is shown while it happens and written down nowhere. */
interface Passing {
  /** What commands print while they run. */
  readonly outputs: { of(task_id: string): string | null };
  /** What models are saying. */
  readonly drafts: { of(task_id: string): Draft | null };
}

export function liveTree(
  db: Db,
  first: TreeRead,
  { outputs, drafts }: Passing,
): LivePage {
  let read = first;
  const differ = new Differ();
  const known = new Map<string, TaskMark>();
  const heard = new Map<string, DraftHeard>();

  const passing = (): string[] =>
    [...known.keys()].flatMap((id) => {
      const said = saidSwaps(heard.get(id) ?? null, drafts.of(id), draftLooks(id));
      if (said.heard) heard.set(id, said.heard);
      else heard.delete(id);
      const text = outputs.of(id);
      // Every task arrives without any.
      if (text === null && differ.whole([outputId(id)]).length === 0) return said.swaps;
      const html = render(<RunningOutput task_id={id} text={text} />);
      return [...said.swaps, ...differ.changed([{ id: outputId(id), html }])];
    });

  return {
    async changes() {
      read = await readTree(db, first.tree.id) ?? read;
      const marks = read.marks.slice(0, PAGE_ROWS_MAX);
      const touched = marks.filter((mark) => !isSame(mark, known.get(mark.id)));
      const tasks = await shownTasks(db, touched.map(({ id }) => id));
      for (const mark of touched) known.set(mark.id, mark);
      return [
        ...differ.changed([headOf(read)]),
        ...differ.put(tasks.map((task) => itemOf(task, marks))),
        ...passing(),
      ];
    },
    passing,
    async whole() {
      const family = await readFamily(db, read.marks);
      const html = render(<TaskList parent_id={null} family={family} />);
      const now = read.marks.flatMap(({ id }) => [
        ...heard.has(id) ? [morph(draftLooks(id).whole(heard.get(id)!.draft))] : [],
        ...differ.whole([outputId(id)]),
      ]);
      return [morph(headOf(read)), morph({ id: listId(null), html }), ...now];
    },
  };
}

function headOf({ tree, marks }: TreeRead): Fragment {
  return { id: TREE_ID, html: render(<TreeHead tree={tree} marks={marks} />) };
}

/** A task arrives alone: its children arrive after it, each behind the one that began before it. */
function itemOf(task: ShownTask, marks: readonly TaskMark[]): Item {
  const { id, parent_id } = task;
  const above = marks.slice(0, marks.findIndex((mark) => mark.id === id))
    .findLast((mark) => mark.parent_id === parent_id);
  return {
    id: itemId(id),
    place: above ? { behind: itemId(above.id) } : { first_in: listId(parent_id) },
    arriving: () => render(<TaskItem task={task} family={new Map()} />),
    parts: [
      { id: headId(id), html: render(<TaskHead task={task} />) },
      { id: bodyId(id), html: render(<TaskBody task={task} />) },
    ],
  };
}

function draftLooks(task_id: string): DraftLooks {
  return {
    whole: (draft) => ({
      id: draftId(task_id),
      html: render(<DraftReply task_id={task_id} draft={draft} />),
    }),
    more: (block, text) => ({
      id: draftBlockId(task_id, block),
      html: render(<span>{text}</span>),
    }),
  };
}

function isSame(mark: TaskMark, other: TaskMark | undefined): boolean {
  return mark.version === other?.version && mark.last_seq === other.last_seq;
}
