/** `/api/reviews`: what agents put before a person, and the person's decisions. */
import { Hono } from "hono";
import * as z from "zod";
import { enqueue } from "../db/envelopes.ts";
import { decideReview, findReview, listReviews } from "../db/reviews.ts";
import type { Kernel } from "../runtime/kernel.ts";
import { readBody } from "./body.ts";
import { notFound, Problem } from "./problem.ts";

const decision = z.strictObject({
  decision: z.enum(["approved", "rejected"]),
  comment: z.string().max(10_000).default(""),
});

export function reviews(kernel: Kernel): Hono {
  const app = new Hono();

  app.get("/", async (c) => c.json(await listReviews(kernel.store.read)));

  app.post("/:id/decision", async (c) => {
    const { decision: decided, comment } = await readBody(c, decision);
    const review = await findReview(kernel.store.read, c.req.param("id"));
    if (!review) throw notFound("review", c.req.param("id"));
    const now = kernel.clock.now();
    const { task_id, tree_id, call_id, priority } = review;
    const unit = [decideReview({ id: review.id, status: decided, comment, now })];
    if (review.blocking && call_id) {
      const content = JSON.stringify({ decision: decided, comment });
      const message = { type: "tool.replied", call_id, content };
      unit.push(
        enqueue({ id: kernel.ids.next(), tree_id, to: task_id, from: "person", message }, now),
      );
    }
    const result = await kernel.command(unit, { address: task_id, tree_id, priority });
    if (!result.ok) throw new Problem(409, "Conflict", result.reason);
    return c.json({ id: review.id, status: decided, comment });
  });

  return app;
}
