/** Folders that a test has for itself. */

/** A new folder that is removed at the end of the scope: `await using folder = await tempFolder()`. */
export async function tempFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "troupe-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
