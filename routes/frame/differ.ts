/**
 * From what a page shows to what it should show, as swaps for those who have seen all before. One live
 * page has one differ, which remembers the HTML of each fragment that stands in the page.
 */
import { type Draft, type DraftHeard, saidSince } from "../../runtime/passing/drafts.ts";
import { swap } from "./stream.ts";

/** An element that is swapped as a whole. */
export interface Fragment {
  /** Of the element. */
  readonly id: string;
  readonly html: string;
}

/** An element that comes and goes. */
export interface Item {
  readonly id: string;
  /** Where it belongs when it is new. */
  readonly place: { readonly behind: string } | { readonly first_in: string };
  /** All of it, as it arrives. */
  readonly arriving: () => string;
  /** What of it changes afterwards: itself, or what stands in it. */
  readonly parts: readonly Fragment[];
}

export class Differ {
  readonly #shown = new Map<string, string>();
  /** The parts of each item that is there. */
  readonly #items = new Map<string, readonly string[]>();

  /** Whether an item is there. */
  has(id: string): boolean {
    return this.#items.has(id);
  }

  /** The fragments that look different; the others stay as they are. */
  changed(fragments: readonly Fragment[]): string[] {
    return fragments.filter((one) => this.#remember(one)).map(morph);
  }

  /** Items that are new, in the order in which they are put, and what looks different of the others. */
  put(items: readonly Item[]): string[] {
    return items.flatMap((item) => {
      const there = this.#items.has(item.id);
      this.#items.set(item.id, item.parts.map(({ id }) => id));
      const changes = this.changed(item.parts);
      return there ? changes : [arrival(item)];
    });
  }

  /** These items and no others. */
  only(items: readonly Item[]): string[] {
    const ids = new Set(items.map(({ id }) => id));
    const gone = [...this.#items.keys()].filter((id) => !ids.has(id));
    for (const id of gone) this.#forget(id);
    return [...gone.map((id) => swap("delete", id, "")), ...this.put(items)];
  }

  /** The fragments as they are shown, those that were never put left out: for who is behind. */
  whole(ids: readonly string[]): string[] {
    return ids.flatMap((id) => {
      const html = this.#shown.get(id);
      return html === undefined ? [] : [morph({ id, html })];
    });
  }

  /** Whether it looks different from before. */
  #remember({ id, html }: Fragment): boolean {
    if (this.#shown.get(id) === html) return false;
    this.#shown.set(id, html);
    return true;
  }

  #forget(item: string): void {
    for (const part of this.#items.get(item)!) this.#shown.delete(part);
    this.#items.delete(item);
  }
}

/** What those who may have seen anything else are given of a fragment. */
export function morph({ id, html }: Fragment): string {
  return swap("outerMorph", id, html);
}

function arrival({ place, arriving }: Item): string {
  return "behind" in place
    ? swap("afterend", place.behind, arriving())
    : swap("afterbegin", place.first_in, arriving());
}

/** How a draft looks in a page. */
export interface DraftLooks {
  readonly whole: (draft: Draft | null) => Fragment;
  /** More text of a block, and the element behind whose text it is put. */
  readonly more: (block: number, text: string) => Fragment;
}

/** What was said since: more of a block is put behind it, anything else is drawn anew. */
export function saidSwaps(
  heard: DraftHeard | null,
  draft: Draft | null,
  looks: DraftLooks,
): { readonly heard: DraftHeard | null; readonly swaps: readonly string[] } {
  if (!draft) return { heard: null, swaps: heard ? [morph(looks.whole(null))] : [] };
  const said = saidSince(heard, draft);
  const anew = said.anew || said.waits_anew || said.more.some(({ begun }) => begun);
  return {
    heard: said.heard,
    swaps: anew ? [morph(looks.whole(draft))] : said.more.map(({ block, text }) => {
      const { id, html } = looks.more(block, text);
      return swap("beforeend", id, html);
    }),
  };
}
