/** One tree: what was asked, what came of it, and its tasks nested as they asked each other. */
import type { OpenReview } from "../../../db/reviews.ts";
import type { ShownTask, TaskMark } from "../../../db/task_views.ts";
import type { ShownTree } from "../../../db/trees.ts";
import {
  COMMENT_CHARS_MAX,
  PAGE_ROWS_MAX,
  TASK_LINE_CHARS_MAX,
} from "../../../runtime/core/limits.ts";
import { OFFLINE } from "../../../runtime/core/model/offline.ts";
import { isFinal, type Purpose } from "../../../runtime/core/protocol.ts";
import type { Draft } from "../../../runtime/passing/drafts.ts";
import { Badge, duration, Moment, oneLine, Text, UsageLine } from "../../frame/components.tsx";
import { bodyId, draftBlockId, draftId, headId, itemId, listId, outputId, TREE_ID } from "./ids.ts";
import { Journal } from "./journal.tsx";

/** Tasks that look back at another one: there for who wants to know, but not in the way. */
const QUIET: readonly Purpose[] = ["evaluation", "documentation", "summary"];

/** The children of each task, in the order in which they began; the root's parent is null. */
export type Family = ReadonlyMap<string | null, readonly ShownTask[]>;

export function TreePage(props: { tree: ShownTree; marks: readonly TaskMark[]; family: Family }) {
  return (
    <>
      <TreeHead tree={props.tree} marks={props.marks} />
      <section aria-labelledby="tasks-title">
        <h2 id="tasks-title">How it went</h2>
        <TaskList parent_id={null} family={props.family} />
      </section>
    </>
  );
}

export function TreeHead({ tree, marks }: { tree: ShownTree; marks: readonly TaskMark[] }) {
  const ended = marks.filter(({ status }) => isFinal(status)).length;
  return (
    <section id={TREE_ID} class="tree-head" aria-labelledby="tree-title">
      <p class="facts">
        <Badge status={tree.status} />
        {marks.some(({ model }) => model === OFFLINE) && <span class="badge">offline model</span>}
        <small>
          Asked <Moment at={tree.created_at} />
          {tree.ended_at !== null && `, took ${duration(tree.ended_at - tree.created_at)}`}
        </small>
        <small>{`${ended} of ${marks.length} tasks ended`}</small>
        <UsageLine of={tree} />
      </p>
      <h1 id="tree-title">{tree.instruction}</h1>
      <div id="outcome" class={`outcome ${tree.status}`} aria-live="polite">
        <TreeOutcome tree={tree} />
      </div>
      {marks.length > PAGE_ROWS_MAX && (
        <p>
          <small>
            {`This page shows the first ${PAGE_ROWS_MAX} tasks. The API has all of them.`}
          </small>
        </p>
      )}
    </section>
  );
}

function TreeOutcome({ tree }: { tree: ShownTree }) {
  const { status, result } = tree;
  if (!isFinal(status)) return <p class="pending">The result will stand here.</p>;
  const reason = reasonBeside(result, tree.reason);
  return (
    <>
      <h2>
        {status === "done" ? "Result" : `It ${status === "failed" ? status : "was cancelled"}`}
      </h2>
      {result !== null && <div class="text">{result}</div>}
      {reason !== null && <p class="reason">{reason}</p>}
      {result === null && reason === null && <p>There is no result.</p>}
    </>
  );
}

export function TaskList({ parent_id, family }: { parent_id: string | null; family: Family }) {
  return (
    <ul id={listId(parent_id)} class="tasks">
      {family.get(parent_id)?.map((task) => <TaskItem key={task.id} task={task} family={family} />)}
    </ul>
  );
}

export function TaskItem({ task, family }: { task: ShownTask; family: Family }) {
  const quiet = QUIET.includes(task.purpose);
  return (
    <li id={itemId(task.id)} class={quiet ? "quiet" : ""}>
      <details open={!quiet}>
        <summary>
          <TaskHead task={task} />
        </summary>
        <TaskBody task={task} />
        <DraftReply task_id={task.id} draft={null} />
        <RunningOutput task_id={task.id} text={null} />
        <TaskList parent_id={task.id} family={family} />
      </details>
    </li>
  );
}

/** The line that stands for a task. */
export function TaskHead({ task }: { task: ShownTask }) {
  const { id, agent, purpose, status, instruction, started_at, ended_at } = task;
  return (
    <span id={headId(id)} class="task-head">
      <Badge status={status} />
      <strong>{agent}</strong>
      <small class="purpose">{purpose}</small>
      <span class="instruction">{firstLine(instruction)}</span>
      <small>
        {started_at !== null && ended_at !== null && duration(ended_at - started_at)}
      </small>
      <UsageLine of={task} />
    </span>
  );
}

/** What came of a task, and its journal. */
export function TaskBody({ task }: { task: ShownTask }) {
  const { id, status, result, journal, reviews } = task;
  const reason = reasonBeside(result, task.reason);
  return (
    <div id={bodyId(id)} class="task-body">
      {result !== null && (
        <div class={`result ${status}`}>
          <Text of={result} />
        </div>
      )}
      {reason !== null && <p class="reason">{reason}</p>}
      {reviews.map((review) => <Question key={review.id} review={review} />)}
      <Journal entries={journal} />
    </div>
  );
}

/** What a task waits to be told by a person. */
function Question({ review: { id, issue, detail } }: { review: OpenReview }) {
  return (
    <form class="review" method="post" action={`/reviews/${id}/decision`}>
      <p>
        <strong>{issue}</strong>
      </p>
      {detail !== null && <pre>{detail}</pre>}
      <label for={`comment-${id}`}>Comment</label>
      <input id={`comment-${id}`} name="comment" maxlength={COMMENT_CHARS_MAX} />
      <div class="choices">
        <button type="submit" name="decision" value="approved">Approve</button>
        <button type="submit" name="decision" value="rejected" class="secondary">Reject</button>
      </div>
    </form>
  );
}

/** What a task's model is saying; the finished reply is in the journal. */
export function DraftReply({ task_id, draft }: { task_id: string; draft: Draft | null }) {
  const shown = draft !== null && (draft.waiting !== null || draft.blocks.length > 0);
  return (
    <div id={draftId(task_id)} class="draft" hidden={!shown} aria-live="off">
      {draft?.waiting && <p class="reason">{`Waiting: ${draft.waiting}`}</p>}
      {draft?.blocks.map(({ kind, name, text }, index) => (
        <div key={index} class={kind}>
          {kind !== "text" && <small>{name ?? "thinking"}</small>}
          <div id={draftBlockId(task_id, index)} class="said">{text}</div>
        </div>
      ))}
    </div>
  );
}

/** What a command of a task prints while it runs. */
export function RunningOutput({ task_id, text }: { task_id: string; text: string | null }) {
  return (
    <pre id={outputId(task_id)} class="output" hidden={text === null} aria-live="off">
      <span>{text}</span>
    </pre>
  );
}

/** The reason, unless the result says the same already: a failure's reason is its result, cut. */
function reasonBeside(result: string | null, reason: string | null): string | null {
  if (result === null || reason === null) return reason;
  return result.startsWith(reason.replace(/…$/, "").trimEnd()) ? null : reason;
}

/** The journal shows the whole of it. */
function firstLine(instruction: string): string {
  const [first, ...more] = instruction.split("\n", 2);
  return oneLine(more.length > 0 ? `${first} …` : first, TASK_LINE_CHARS_MAX);
}
