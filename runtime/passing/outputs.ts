/** What commands print while they run, by task; shown on the tree's page and then forgotten. */
import { OUTPUT_TAIL_CHARS } from "../core/limits.ts";
import type { Outputs } from "../ports.ts";

export class RunningOutputs implements Outputs {
  readonly #texts = new Map<string, string>();

  /** @param publish called when there is something new of a tree */
  constructor(readonly publish: (tree_id: string) => void) {}

  of(task_id: string): string | null {
    return this.#texts.get(task_id) ?? null;
  }

  open(task_id: string, tree_id: string, head: string) {
    const set = (text: string) => {
      this.#texts.set(task_id, text.slice(-OUTPUT_TAIL_CHARS));
      this.publish(tree_id);
    };
    set(head);
    return {
      write: (text: string) => set((this.#texts.get(task_id) ?? "") + text),
      close: () => {
        this.#texts.delete(task_id);
        this.publish(tree_id);
      },
    };
  }
}
