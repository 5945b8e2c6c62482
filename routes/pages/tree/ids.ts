/** The ids of what a tree page shows, by which its updates find it. */

export const TREE_ID = "tree";
export const headId = (task_id: string) => `head-${task_id}`;
export const bodyId = (task_id: string) => `body-${task_id}`;
export const draftId = (task_id: string) => `draft-${task_id}`;
export const draftBlockId = (task_id: string, block: number) => `draft-${task_id}-${block}`;
export const outputId = (task_id: string) => `output-${task_id}`;
export const itemId = (task_id: string) => `task-${task_id}`;
/** The list of a task's children; with null the list that holds the root. */
export const listId = (parent_id: string | null) => `tasks-${parent_id ?? "root"}`;
