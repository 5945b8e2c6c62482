/** A tree page's updates: its head, the tasks that are new, and what changed of the others. */
import type { Kysely } from "kysely";
import { render } from "preact-render-to-string";
import type { Schema } from "../../../db/schema.ts";
import {
  findTasks,
  findTree,
  type TaskMark,
  taskMarks,
  type TaskView,
  type TreeView,
} from "../../../db/views/pages.ts";
import { PAGE_ROWS_MAX } from "../../../runtime/core/limits.ts";
import type { Draft } from "../../../runtime/passing/drafts.ts";
import { type LivePage, swap } from "../../frame/stream.ts";
import {
  bodyId,
  draftBlockId,
  draftId,
  DraftReply,
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
} from "./page.tsx";

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

/** What is shown while it happens and written down nowhere. */
interface Passing {
  /** What commands print while they run. */
  readonly outputs: { of(task_id: string): string | null };
  /** What models are saying. */
  readonly drafts: { of(task_id: string): Draft | null };
}

export function liveTree(
  db: Kysely<Schema>,
  first: TreeRead,
  { outputs, drafts }: Passing,
): LivePage {
  let read = first;
  /** HTML by the id of its element, for what stands in the page already. */
  const shown = new Map<string, string>();
  const known = new Map<string, TaskMark>();
  const said = new Map<string, Shown>();

  /** Remembers it, and says whether the page shows something else. */
  const differs = (id: string, html: string): boolean => {
    if (shown.get(id) === html) return false;
    shown.set(id, html);
    return true;
  };

  const passing = (): string[] =>
    [...known.keys()].flatMap((id) => {
      const swaps = newlySaid(id, drafts.of(id), said);
      const text = outputs.of(id);
      if (text === null && !shown.has(outputId(id))) return swaps;
      const html = render(<Output task_id={id} text={text} />);
      return differs(outputId(id), html)
        ? [...swaps, swap("outerMorph", outputId(id), html)]
        : swaps;
    });

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
      return [...swaps, ...passing()];
    },
    passing,
    async whole() {
      const family = await readFamily(db, read.marks);
      const now = read.marks.flatMap(({ id }) => [
        ...said.has(id) ? [drawn(id, said.get(id)!.draft)] : [],
        ...shown.has(outputId(id))
          ? [swap("outerMorph", outputId(id), shown.get(outputId(id))!)]
          : [],
      ]);
      return [
        swap("outerMorph", TREE_ID, render(<TreeHead tree={read.tree} marks={read.marks} />)),
        swap(
          "outerMorph",
          listId(null),
          render(<TaskList parent_id={null} family={family} />),
        ),
        ...now,
      ];
    },
  };
}

/** A draft as those who are current have seen it: each block up to so many characters. */
interface Shown {
  readonly draft: Draft;
  readonly attempt: number;
  readonly waiting: string | null;
  readonly lengths: readonly number[];
}

/** What has been said since: more of a block is put behind it, anything else is drawn anew. */
function newlySaid(task_id: string, draft: Draft | null, said: Map<string, Shown>): string[] {
  const before = said.get(task_id);
  if (!draft) return said.delete(task_id) ? [drawn(task_id, null)] : [];
  const { attempt, waiting, blocks } = draft;
  const lengths = blocks.map(({ text }) => text.length);
  said.set(task_id, { draft, attempt, waiting, lengths });
  const same = before?.draft === draft && before.attempt === attempt &&
    before.waiting === waiting && before.lengths.length === lengths.length;
  if (!same) return [drawn(task_id, draft)];
  return blocks.flatMap(({ text }, index) => {
    const from = before.lengths[index];
    if (from === text.length) return [];
    const more = render(<span>{text.slice(from)}</span>);
    return [swap("beforeend", draftBlockId(task_id, index), more)];
  });
}

function drawn(task_id: string, draft: Draft | null): string {
  return swap(
    "outerMorph",
    draftId(task_id),
    render(<DraftReply task_id={task_id} draft={draft} />),
  );
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
