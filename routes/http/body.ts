/** Reads a JSON request body, field by field. Its size was bounded before it came here. */
import type { Context } from "hono";
import type * as z from "zod";
import { nulWithin, pairedWithin } from "../../runtime/core/text.ts";
import { Problem } from "./problem.ts";
import { reasonOf } from "../../runtime/core/reason.ts";

/** @throws {Problem} 415 or 400 that names what is wrong */
export async function readBody<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const type = c.req.header("content-type") ?? "";
  if (!/^application\/([\w.+-]+\+)?json\b/i.test(type)) {
    const detail = `Content-Type must be application/json, not ${type || "left out"}`;
    throw new Problem(415, "Unsupported media type", detail);
  }
  let value: unknown;
  try {
    value = JSON.parse(await c.req.text());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Problem(400, "Bad request", `The body is not JSON: ${reasonOf(error)}`);
  }
  return check(schema, value);
}

/** @throws {Problem} 400 that names each wrong field */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = readAs(schema, value);
  if (parsed.success) return parsed.data;
  const errors = parsed.issues.map(({ path, message }) => ({
    field: path.join(".") || "body",
    detail: message,
  }));
  const detail = errors.map(({ field, detail }) => `${field}: ${detail}`).join("; ");
  throw new Problem(400, "Bad request", detail, errors);
}

export type ReadAs<T> =
  | { readonly success: true; readonly data: T }
  | { readonly success: false; readonly issues: readonly z.core.$ZodIssue[] };

/** What a schema makes of something, in well-formed texts: a NUL, which would end a text, is an issue. */
export function readAs<T>(schema: z.ZodType<T>, value: unknown): ReadAs<T> {
  const path = nulWithin(value);
  if (path !== null) {
    const message = "must not have a NUL character";
    return { success: false, issues: [{ code: "custom", path, message, input: value }] };
  }
  const { success, data, error } = schema.safeParse(pairedWithin(value));
  return success ? { success, data } : { success: false, issues: error.issues };
}
