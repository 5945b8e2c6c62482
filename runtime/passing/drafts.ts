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

/** How much of a reply on its way somebody has heard. */
export interface DraftHeard {
  readonly draft: Draft;
  readonly attempt: number;
  readonly waiting: string | null;
  /** Characters of each block. */
  readonly characters: readonly number[];
}

export interface SaidSince {
  /** Whether what was heard before is void. */
  readonly anew: boolean;
  /** Whether the reason why nothing comes is another one, or none any more. */
  readonly waits_anew: boolean;
  readonly more: readonly {
    readonly block: number;
    /** Whether nothing of the block was heard before. */
    readonly begun: boolean;
    readonly text: string;
  }[];
  /** The new place of whoever hears all this. */
  readonly heard: DraftHeard;
}

/** What is to be told to somebody who has heard so much; with null, everything from its beginning. */
export function saidSince(before: DraftHeard | null, draft: Draft): SaidSince {
  const { attempt, waiting, blocks } = draft;
  const anew = before?.draft !== draft || before.attempt !== attempt;
  const characters = anew ? [] : before.characters;
  return {
    anew,
    waits_anew: waiting !== (anew ? null : before.waiting),
    more: blocks.flatMap(({ text }, block) => {
      const from = characters.at(block);
      if (from === text.length) return [];
      return [{ block, begun: from === undefined, text: text.slice(from ?? 0) }];
    }),
    heard: { draft, attempt, waiting, characters: blocks.map(({ text }) => text.length) },
  };
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
    case "asked": {
      const waited = draft.waiting !== null;
      draft.waiting = null;
      return waited;
    }
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
