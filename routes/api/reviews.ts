/** `/api/reviews`: what agents put before a person, and the person's decisions. */
import { Hono } from "hono";
import * as z from "zod";
import { listReviews } from "../../db/views/api.ts";
import { decide, type Decision } from "../../runtime/commands/decide.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { readBody } from "../http/body.ts";
import { notFound, Problem } from "../http/problem.ts";

export const decision = z.strictObject({
  decision: z.enum(["approved", "rejected"]),
  comment: z.string().max(10_000).default(""),
});

export function reviews(kernel: Kernel): Hono {
  const app = new Hono();

  app.get("/", async (c) => c.json(await listReviews(kernel.store.read)));

  app.post("/:id/decision", async (c) => {
    const decided = await readBody(c, decision);
    const id = c.req.param("id");
    await decideOn(kernel, id, decided);
    return c.json({ id, status: decided.decision, comment: decided.comment });
  });

  return app;
}

/**
 * Decides about a review; gives its tree.
 * @throws {Problem} 404, or 409 when it is decided already
 */
export async function decideOn(kernel: Kernel, id: string, decided: Decision): Promise<string> {
  const done = await decide(kernel, id, decided);
  if (!done) throw notFound("review", id);
  if (!done.result.ok) throw new Problem(409, "Conflict", done.result.reason);
  return done.tree_id;
}
