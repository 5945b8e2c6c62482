/** Errors as RFC 9457 problem documents: what is wrong, with which field, and never a stack. */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

/** Thrown by a route; `app.ts` turns it into a response. */
export class Problem extends Error {
  override name = "Problem";
  /**
   * @param errors one line a field that is wrong
   * @param retry_after_seconds for who is turned away for now; its connection is closed, too
   */
  constructor(
    readonly status: ContentfulStatusCode,
    readonly title: string,
    readonly detail: string,
    readonly errors: readonly { readonly field: string; readonly detail: string }[] = [],
    readonly retry_after_seconds: number | null = null,
  ) {
    super(detail);
  }
}

export function problemResponse(c: Context, problem: Problem): Response {
  const { status, title, detail, errors, retry_after_seconds } = problem;
  const body = {
    type: "about:blank",
    title,
    status,
    detail,
    ...(errors.length > 0 ? { errors } : {}),
  };
  return c.body(JSON.stringify(body), status, {
    "content-type": "application/problem+json",
    ...(retry_after_seconds === null ? {} : turnedAway(retry_after_seconds)),
  });
}

/** A connection that waits to be used again holds a descriptor, which others need more. */
export function turnedAway(retry_after_seconds: number): Record<string, string> {
  return { "retry-after": String(retry_after_seconds), "connection": "close" };
}

export function notFound(what: string, id: string): Problem {
  return new Problem(404, "Not found", `There is no ${what} ${id}`);
}

/** Bad input in one field. */
export function badField(field: string, detail: string): Problem {
  return new Problem(400, "Bad request", `${field}: ${detail}`, [{ field, detail }]);
}
