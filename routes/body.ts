/** Reads a JSON request body: bounded before it is parsed, checked field by field. */
import type { Context } from "hono";
import * as z from "zod";
import { REQUEST_BYTES_MAX } from "../runtime/core/limits.ts";
import { Problem } from "./problem.ts";

/** @throws {Problem} 413, 415 or 400 that names what is wrong */
export async function readBody<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const type = c.req.header("content-type") ?? "";
  if (!/^application\/([\w.+-]+\+)?json\b/i.test(type)) {
    const detail = `Content-Type must be application/json, not ${type || "left out"}`;
    throw new Problem(415, "Unsupported media type", detail);
  }
  let value: unknown;
  try {
    value = JSON.parse(await textOf(c.req.raw));
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(400, "Bad request", `The body is not JSON: ${(error as Error).message}`);
  }
  return check(schema, value);
}

/** @throws {Problem} 400 that names each wrong field */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(({ path, message }) => ({
    field: path.join(".") || "body",
    detail: message,
  }));
  const detail = errors.map(({ field, detail }) => `${field}: ${detail}`).join("; ");
  throw new Problem(400, "Bad request", detail, errors);
}

async function textOf(request: Request): Promise<string> {
  const tooLong = new Problem(
    413,
    "Content too large",
    `The body is longer than ${REQUEST_BYTES_MAX} bytes`,
  );
  if (Number(request.headers.get("content-length") ?? 0) > REQUEST_BYTES_MAX) throw tooLong;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > REQUEST_BYTES_MAX) throw tooLong;
    chunks.push(chunk);
  }
  return await new Blob(chunks as Uint8Array<ArrayBuffer>[]).text();
}
