/** A tree page's updates: its head, the tasks that are new, and what changed of the others. */
import type { Kysely } from "kysely";
import { render } from "preact-render-to-string";
import type { Schema } from "../db/schema.ts";
import {
  findTasks,
  findTree,
  type TaskMark,
  taskMarks,
  type TaskView,
  type TreeView,
} from "../db/views/pages.ts";
import { PAGE_ROWS_MAX } from "../runtime/core/limits.ts";
import { type LivePage, swap } from "./page_stream.ts";
import {
  bodyId,
  type Family,
  headId,
  itemId,
  listId,
  Output,
  outputId,
  TaskBody,
  TaskHead,
  TaskItem,
  TaskList,
  TREE_ID,
  TreeHead,
} from "./tree.tsx";

/** A tree as its page shows it; null when there is none. */
export interface TreeRead {
  readonly tree: TreeView;
  readonly marks: readonly TaskMark[];
}

export async function readTree(db: Kysely<Schema>, id: string): Promise<TreeRead | null> {
  const tree = await findTree(db, id);
  return tree ? { tree, marks: await taskMarks(db, id) } : null;
}

/** The tasks that the page shows, by their parents. */
export async function readFamily(
  db: Kysely<Schema>,
  marks: readonly TaskMark[],
): Promise<Family> {
  const ids = marks.slice(0, PAGE_ROWS_MAX).map(({ id }) => id);
  return Map.groupBy(await findTasks(db, ids), ({ parent_id }) => parent_id);
}

/** @param outputs what commands print while they run */
export function liveTree(
  db: Kysely<Schema>,
  first: TreeRead,
  outputs: { of(task_id: string): string | null },
): LivePage {
  let read = first;
  /** HTML by the id of its element, for what stands in the page already. */
  const shown = new Map<string, string>();
  const known = new Map<string, TaskMark>();

  /** Remembers it, and says whether the page shows something else. */
  const differs = (id: string, html: string): boolean => {
    if (shown.get(id) === html) return false;
    shown.set(id, html);
    return true;
  };

  return {
    async changes() {
      read = await readTree(db, first.tree.id) ?? read;
      const marks = read.marks.slice(0, PAGE_ROWS_MAX);
      const touched = marks.filter((mark) => !isSame(mark, known.get(mark.id)));
      const tasks = await findTasks(db, touched.map(({ id }) => id));
      const head = render(<TreeHead tree={read.tree} marks={read.marks} />);
      const swaps = differs(TREE_ID, head) ? [swap("outerMorph", TREE_ID, head)] : [];
      for (const task of tasks) {
        const line = render(<TaskHead task={task} />);
        const body = render(<TaskBody task={task} />);
        const [newLine, newBody] = [
          differs(headId(task.id), line),
          differs(bodyId(task.id), body),
        ];
        if (!known.has(task.id)) swaps.push(arrival(task, marks, known));
        else {
          if (newLine) swaps.push(swap("outerMorph", headId(task.id), line));
          if (newBody) swaps.push(swap("outerMorph", bodyId(task.id), body));
        }
        known.set(task.id, marks.find(({ id }) => id === task.id)!);
      }
      for (const { id } of marks) {
        const text = outputs.of(id);
        if (text === null && !shown.has(outputId(id))) continue;
        const html = render(<Output task_id={id} text={text} />);
        if (differs(outputId(id), html)) swaps.push(swap("outerMorph", outputId(id), html));
      }
      return swaps;
    },
    async whole() {
      const family = await readFamily(db, read.marks);
      return [
        swap("outerMorph", TREE_ID, render(<TreeHead tree={read.tree} marks={read.marks} />)),
        swap(
          "outerMorph",
          listId(null),
          render(<TaskList parent_id={null} family={family} />),
        ),
      ];
    },
  };
}

/** A new task, alone: its children arrive after it. */
function arrival(
  task: TaskView,
  marks: readonly TaskMark[],
  known: ReadonlyMap<string, TaskMark>,
): string {
  const html = render(<TaskItem task={task} family={new Map()} />);
  const above = marks.slice(0, marks.findIndex(({ id }) => id === task.id))
    .findLast(({ id, parent_id }) => parent_id === task.parent_id && known.has(id));
  return above
    ? swap("afterend", itemId(above.id), html)
    : swap("afterbegin", listId(task.parent_id), html);
}

function isSame(mark: TaskMark, other: TaskMark | undefined): boolean {
  return mark.version === other?.version && mark.last_seq === other.last_seq;
}
