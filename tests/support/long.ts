/** What `deno task test` leaves to `deno task test:long`: long runs, and of a matrix all rows but the first. */

/** Read here and nowhere else; the task runs every test file that imports this one. */
export const LONG = Deno.env.get("TROUPE_TEST_LONG") === "1";

/** The rows of a matrix that are tried. */
export function rows<Row>(matrix: readonly Row[]): readonly Row[] {
  return LONG ? matrix : matrix.slice(0, 1);
}

/** A test of the long task alone. */
export function longTest(name: string, run: () => Promise<void>): void {
  if (LONG) Deno.test(name, run);
}
