/** `/api/reviews`: what agents put before a person, and the person's decisions. */
import { Hono } from "hono";
import { listReviews } from "../../db/reviews.ts";
import { decide, PERSON, type VerbOf } from "../../runtime/core/command.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { readBody } from "../http/body.ts";
import { Problem } from "../http/problem.ts";

/** What a person says of a review whose id is known. */
export const decision = decide.omit({ verb: true, review_id: true });

export function reviews(kernel: Kernel): Hono {
  const app = new Hono();

  app.get("/", async (c) => c.json(await listReviews(kernel.read)));

  app.post("/:id/decision", async (c) => {
    const id = c.req.param("id");
    const decided = await readBody(c, decision);
    await decideOn(kernel, { verb: "decide", review_id: id, ...decided });
    return c.json({ id, status: decided.decision, comment: decided.comment });
  });

  return app;
}

/**
 * Decides about a review; gives its tree.
 * @throws {Problem} 409 when it is decided already
 */
export async function decideOn(kernel: Kernel, wanted: VerbOf<"decide">): Promise<string> {
  const done = await kernel.dispatch(wanted, PERSON);
  if (!done.ok) throw new Problem(409, "Conflict", done.reason);
  return done.answer.tree_id;
}
