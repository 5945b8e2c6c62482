/** Times as the API shows them; the tables have ms since 1970. */

export function times(
  row: { created_at: number; started_at: number | null; ended_at: number | null },
) {
  return {
    created_at: iso(row.created_at),
    started_at: row.started_at === null ? null : iso(row.started_at),
    ended_at: row.ended_at === null ? null : iso(row.ended_at),
  };
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
