/**
 * Who is told that something of a tree changed: `committed`, what is written down, or `passing`, what is
 * only said and shown. Watchers read what changed by themselves.
 */
export type Happening = "committed" | "passing";

type Watcher = (news: Happening) => void;

export class Events {
  readonly #watchers = new Map<string, Set<Watcher>>();

  /** Tells the tree's watchers of a commit, and those of all trees. */
  publish(tree_id: string): void {
    this.#tell(tree_id, "committed");
    this.#tell("*", "committed");
  }

  /** Tells the tree's watchers of what passes. */
  whisper(tree_id: string): void {
    this.#tell(tree_id, "passing");
  }

  /** Calls `watch` after each change of the tree (`*`: each commit of any) until called off. */
  subscribe(tree_id: string, watch: Watcher): () => void {
    const watchers = this.#watchers.get(tree_id) ?? new Set();
    this.#watchers.set(tree_id, watchers.add(watch));
    return () => {
      watchers.delete(watch);
      // Called off twice, the name may have newer watchers by now.
      const current = this.#watchers.get(tree_id) === watchers;
      if (current && watchers.size === 0) this.#watchers.delete(tree_id);
    };
  }

  #tell(name: string, news: Happening): void {
    for (const watch of this.#watchers.get(name) ?? []) watch(news);
  }
}
