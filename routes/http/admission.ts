/**
 * Who may come in. On loopback everybody on the machine, but no web page of somebody else's: the
 * Host and Origin of a request must be ours. Elsewhere only who bears the token.
 */
import { timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { isLoopback } from "../../runtime/core/config.ts";
import { Problem } from "./problem.ts";

export function admit(
  { loopback, admin_token }: { loopback: boolean; admin_token: string | null },
): MiddlewareHandler {
  return async (c, next) => {
    const bearer = /^Bearer (.+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (bearer !== undefined && admin_token !== null && same(bearer, admin_token)) {
      return await next();
    }
    if (bearer !== undefined || !loopback) {
      c.header("www-authenticate", "Bearer");
      throw new Problem(401, "Unauthorized", "A valid bearer token is needed");
    }
    const url = new URL(c.req.url);
    // A name that somebody else points at 127.0.0.1 would make their page one of ours.
    if (!isLoopback(url.hostname)) {
      throw new Problem(421, "Misdirected request", `${url.hostname} is not this server`);
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && c.req.method !== "GET" && origin !== url.origin) {
      throw new Problem(403, "Forbidden", `A page of ${origin} may not do that`);
    }
    await next();
  };
}

function same(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => new TextEncoder().encode(text));
  return left.length === right.length && timingSafeEqual(left, right);
}
