/** `/api/trees`: begin a tree, list and read trees, their journal and their events. */
import { Hono } from "hono";
import * as z from "zod";
import { listEntries } from "../../db/entries.ts";
import { tasksOf } from "../../db/task_views.ts";
import { findTree, listTrees, type TreeView } from "../../db/trees.ts";
import { begin, PERSON, type VerbOf } from "../../runtime/core/command.ts";
import {
  ID_CHARS_MAX,
  IDEMPOTENCY_KEY_CHARS_MAX,
  PAGE_ROWS,
  PAGE_ROWS_MAX,
} from "../../runtime/core/limits.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { check, readBody } from "../http/body.ts";
import { treeEvents } from "./events.ts";
import type { Places } from "../http/places.ts";
import { badField, notFound, Problem } from "../http/problem.ts";

const newTree = begin.omit({ verb: true });

export const paging = z.object({
  cursor: z.string().max(ID_CHARS_MAX).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).default(PAGE_ROWS),
});

const listing = paging.extend({
  cursor: z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/, "must be the cursor of a page before")
    .optional(),
  status: z.enum(["queued", "running", "waiting", "suspended", "done", "failed", "cancelled"])
    .optional(),
});

export function trees(kernel: Kernel, places: Places): Hono {
  const app = new Hono();

  app.post("/", async (c) => {
    const wanted = { verb: "begin" as const, ...await readBody(c, newTree) };
    const tree = await beginOnce(kernel, wanted, c.req.header("idempotency-key"));
    return c.json(tree, 201, { location: `/api/trees/${tree.id}` });
  });

  app.get("/", async (c) => {
    return c.json(await listTrees(kernel.read, check(listing, c.req.query())));
  });

  app.get("/:id", async (c) => {
    const tree = await known(kernel, c.req.param("id"));
    return c.json({ ...tree, tasks: await tasksOf(kernel.read, tree.id) });
  });

  app.get("/:id/messages", async (c) => {
    const { id } = await known(kernel, c.req.param("id"));
    return c.json(await listEntries(kernel.read, { tree_id: id }, after(c.req.query())));
  });

  app.get("/:id/events", async (c) => {
    const { id } = await known(kernel, c.req.param("id"));
    const last = c.req.header("last-event-id") ?? c.req.query("after") ?? "0";
    return treeEvents(kernel, places, id, check(seq, last));
  });

  return app;
}

const seq = z.coerce.number("must be the seq of an entry").int().min(0);

/** Paging through a journal: the cursor is the last `seq` seen. */
export function after(query: Record<string, string>): { after: number; limit: number } {
  const { cursor, limit } = check(paging, query);
  return { after: check(z.object({ cursor: seq }), { cursor: cursor ?? "0" }).cursor, limit };
}

async function known(kernel: Kernel, id: string): Promise<TreeView> {
  const tree = await findTree(kernel.read, id);
  if (!tree) throw notFound("tree", id);
  return tree;
}

/** Begins a tree, or answers as before when the key was used for the same request. */
async function beginOnce(
  kernel: Kernel,
  wanted: VerbOf<"begin">,
  key: string | undefined,
): Promise<TreeView> {
  if (
    key !== undefined && (key.length > IDEMPOTENCY_KEY_CHARS_MAX || !/^[\x21-\x7e]+$/.test(key))
  ) {
    const detail = `must be 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters`;
    throw badField("Idempotency-Key", detail);
  }
  const done = await kernel.dispatch(wanted, PERSON, key);
  if (done.ok) return await known(kernel, done.answer.tree_id);
  throw new Problem(503, "Service unavailable", `The tree was not begun: ${done.reason}`);
}
