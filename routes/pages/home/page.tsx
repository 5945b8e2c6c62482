/** The home page: a box for a task, the demo tasks, and all trees. */
import type { TreeLine } from "../../../db/trees.ts";
import { TREE_LINE_CHARS_MAX } from "../../../runtime/core/limits.ts";
import type { Playbook } from "../../../runtime/core/model/offline.ts";
import type { Mistake } from "./mistake.ts";
import { Age, Badge, duration, oneLine } from "../../frame/components.tsx";

export const TREES_ID = "trees";

interface HomeProps {
  readonly playbooks: readonly Playbook[];
  readonly trees: readonly TreeLine[];
  readonly now: number;
  /** What was wrong with the task that was just handed in. */
  readonly mistake?: Mistake;
}

export function Home({ playbooks, trees, now, mistake }: HomeProps) {
  return (
    <>
      <h1>What should be done?</h1>
      <TaskForm mistake={mistake} />
      <section aria-labelledby="demos-title">
        <h2 id="demos-title">Try a demo</h2>
        <div class="demos">
          {playbooks.map((playbook) => <Demo key={playbook.name} playbook={playbook} />)}
        </div>
      </section>
      <section aria-labelledby="trees-title">
        <h2 id="trees-title">Tasks</h2>
        <TreeList trees={trees} now={now} />
        <p class="none">Nothing yet. Write a task above, or start a demo.</p>
      </section>
    </>
  );
}

export function TreeList({ trees, now }: { trees: readonly TreeLine[]; now: number }) {
  return (
    <ol id={TREES_ID} class="trees">
      {trees.map((tree) => <TreeItem key={tree.id} tree={tree} now={now} />)}
    </ol>
  );
}

export function TreeItem({ tree, now }: { tree: TreeLine; now: number }) {
  const took = tree.ended_at === null ? "" : `took ${duration(tree.ended_at - tree.created_at)}`;
  return (
    <li id={treeItemId(tree.id)}>
      <a href={`/trees/${tree.id}`}>
        <Badge status={tree.status} />
        <span class="instruction">{oneLine(tree.instruction, TREE_LINE_CHARS_MAX)}</span>
        <small>{took}</small>
        <small>
          <Age at={tree.created_at} now={now} />
        </small>
      </a>
    </li>
  );
}

export function treeItemId(id: string): string {
  return `tree-${id}`;
}

function TaskForm({ mistake }: { mistake: Mistake | undefined }) {
  return (
    <form method="post" action="/trees" class="task-form">
      <label for="instruction">Task</label>
      <textarea
        id="instruction"
        name="instruction"
        rows={3}
        required
        placeholder="For example: Compute 12 * 12, then compute 7 + 5"
        aria-invalid={mistake ? "true" : undefined}
        aria-describedby={mistake ? "instruction-mistake" : undefined}
      >
        {mistake?.instruction}
      </textarea>
      {mistake && <p id="instruction-mistake" class="mistake" role="alert">{mistake.text}</p>}
      <button type="submit">Start</button>
    </form>
  );
}

function Demo({ playbook }: { playbook: Playbook }) {
  const { title, task, description, timeout_seconds } = playbook;
  if (task === null) return null;
  return (
    <form method="post" action="/trees" class="demo">
      <input type="hidden" name="instruction" value={task} />
      {timeout_seconds !== null && (
        <input type="hidden" name="timeout_seconds" value={timeout_seconds} />
      )}
      <button type="submit" class="secondary outline">
        <strong>{title}</strong>
        <span>{description}</span>
      </button>
    </form>
  );
}
