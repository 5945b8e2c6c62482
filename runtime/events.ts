/** Who is told that something of a tree was committed. Watchers read what changed by themselves. */
export class Events {
  readonly #watchers = new Map<string, Set<() => void>>();

  /** Tells the tree's watchers, and those of all trees. */
  publish(tree_id: string): void {
    for (const watch of this.#watchers.get(tree_id) ?? []) watch();
    for (const watch of this.#watchers.get("*") ?? []) watch();
  }

  /** Calls `watch` after each commit that touches the tree (`*`: any tree) until called off. */
  subscribe(tree_id: string, watch: () => void): () => void {
    const watchers = this.#watchers.get(tree_id) ?? new Set();
    this.#watchers.set(tree_id, watchers.add(watch));
    return () => {
      watchers.delete(watch);
      // Called off twice, the name may have newer watchers by now.
      const current = this.#watchers.get(tree_id) === watchers;
      if (current && watchers.size === 0) this.#watchers.delete(tree_id);
    };
  }
}
