/** A binary heap: whoever comes first by an order that is given, without sorting the rest. */
export class Heap<T> {
  readonly #items: T[] = [];

  /** @param before whether one comes before another; it must not change while both are inside */
  constructor(readonly before: (one: T, other: T) => boolean) {}

  get size(): number {
    return this.#items.length;
  }

  first(): T | undefined {
    return this.#items[0];
  }

  /** Adds one in O(log n). */
  add(item: T): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.before(item, items[above])) break;
      items[at] = items[above];
      at = above;
    }
    items[at] = item;
  }

  /** Takes the first one out in O(log n). */
  take(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const item = items.pop();
    if (item === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && this.before(items[below + 1], items[below])) below++;
      if (!this.before(items[below], item)) break;
      items[at] = items[below];
      at = below;
    }
    items[at] = item;
    return first;
  }

  clear(): void {
    this.#items.length = 0;
  }
}
