/**
 * What models are saying right now, by task. It is shown while it comes and then forgotten: the journal
 * gets the finished reply. Whoever watches reads from where they are, so nobody is waited for.
 */
import type { BlockKind, Piece } from "../core/model/messages.ts";

export interface DraftBlock {
  readonly kind: BlockKind;
  /** The tool's, of its arguments. */
  readonly name: string | null;
  text: string;
}

/** A reply on its way. */
export interface Draft {
  readonly task_id: string;
  readonly tree_id: string;
  readonly turn: number;
  /** Grows when the reply begins anew after a fault: what was shown before is void then. */
  attempt: number;
  /** Why nothing comes yet. */
  waiting: string | null;
  blocks: DraftBlock[];
}

export class Drafts {
  readonly #drafts = new Map<string, Draft>();

  /** @param publish called when there is something new of a tree */
  constructor(readonly publish: (tree_id: string) => void) {}

  of(task_id: string): Draft | null {
    return this.#drafts.get(task_id) ?? null;
  }

  ofTree(tree_id: string): Draft[] {
    return [...this.#drafts.values()].filter((draft) => draft.tree_id === tree_id);
  }

  /** A model is being asked. */
  open(task_id: string, tree_id: string, turn: number) {
    const draft: Draft = { task_id, tree_id, turn, attempt: 0, waiting: null, blocks: [] };
    this.#drafts.set(task_id, draft);
    return {
      write: (piece: Piece) => {
        if (add(draft, piece)) this.publish(tree_id);
      },
      close: () => {
        // A newer question of the same task may have taken its place.
        if (this.#drafts.get(task_id) !== draft) return;
        this.#drafts.delete(task_id);
        this.publish(tree_id);
      },
    };
  }
}

/** Whether it changed what is shown. */
function add(draft: Draft, piece: Piece): boolean {
  switch (piece.type) {
    case "waiting":
      draft.waiting = piece.why;
      return true;
    case "begun":
      draft.attempt++;
      draft.waiting = null;
      draft.blocks = [];
      return true;
    case "block":
      draft.blocks.push({ kind: piece.kind, name: piece.name ?? null, text: "" });
      return true;
    case "delta": {
      const block = draft.blocks.at(-1);
      if (!block) return false;
      block.text += piece.text;
      return true;
    }
    case "usage":
      return false;
  }
}
