/** Long lists in pages: each says where the next one goes on. */

/** One page of a list; `next_cursor` is null on the last one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

/** @param rows up to one more than the limit, which tells that there are more */
export function pageOf<T>(rows: readonly T[], limit: number, cursor: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  return { items, next_cursor: rows.length > limit ? cursor(items.at(-1)!) : null };
}
