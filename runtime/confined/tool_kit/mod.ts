/**
 * What a tool that an agent wrote may import: `import { fail, type Context } from "troupe"`. Its
 * default export is `(input, context) => result`; the result is any JSON value, or a promise of one.
 */

/** What a tool is told besides its input. */
export interface Context {
  /** The workspace's absolute path, when the manifest grants a path in it; else null. */
  readonly workspace: string | null;
}

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A mistake in the input or in the world, told to the calling agent in these words. */
export class ToolError extends Error {
  override name = "ToolError";
}

/** Ends the call with an error. */
export function fail(message: string): never {
  throw new ToolError(message);
}
