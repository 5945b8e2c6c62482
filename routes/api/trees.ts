/** `/api/trees`: begin a tree, list and read trees, their journal and their events. */
import { Hono } from "hono";
import * as z from "zod";
import { forgetAnswers, rememberAnswer } from "../../db/idempotency_keys.ts";
import { findTree, listEntries, listTrees, tasksOf, type TreeView } from "../../db/views/api.ts";
import {
  DEPTH_MAX,
  IDEMPOTENCY_MS,
  INSTRUCTION_BYTES_MAX,
  PAGE_ROWS_MAX,
  TASKS_PER_TREE_MAX,
} from "../../runtime/core/limits.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { check, readBody } from "../http/body.ts";
import { treeEvents } from "./events.ts";
import type { Places } from "../http/places.ts";
import { badField, notFound, Problem } from "../http/problem.ts";

export const instruction = z.string().trim().min(1, "must not be empty")
  .refine(
    (text) => new TextEncoder().encode(text).length <= INSTRUCTION_BYTES_MAX,
    `must not be longer than ${INSTRUCTION_BYTES_MAX} bytes`,
  );

const newTree = z.strictObject({
  instruction,
  mode: z.enum(["automatic"], "must be automatic: stepping by hand is not built yet").optional(),
  priority: z.int().min(0).max(9).optional(),
  agent: z.string().min(1).max(64).optional(),
  after_task: z.enum(["all", "root", "none"]).optional(),
  timeout_seconds: z.int().min(1).max(86_400).optional(),
  budget: z.strictObject({
    depth: z.int().min(0).max(DEPTH_MAX * 2).optional(),
    tasks: z.int().min(1).max(TASKS_PER_TREE_MAX * 20).optional(),
    turns: z.int().min(1).max(1000).optional(),
    tokens: z.int().min(1).optional(),
    cost_usd: z.number().positive().optional(),
    wall_seconds: z.int().min(1).optional(),
  }).optional(),
});

export const paging = z.object({
  cursor: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).default(50),
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
    const request = await readBody(c, newTree);
    const key = c.req.header("idempotency-key");
    const tree = await begin(kernel, request, key);
    return c.json(tree, 201, { location: `/api/trees/${tree.id}` });
  });

  app.get("/", async (c) => {
    return c.json(await listTrees(kernel.store.read, check(listing, c.req.query())));
  });

  app.get("/:id", async (c) => {
    const tree = await known(kernel, c.req.param("id"));
    return c.json({ ...tree, tasks: await tasksOf(kernel.store.read, tree.id) });
  });

  app.get("/:id/messages", async (c) => {
    const { id } = await known(kernel, c.req.param("id"));
    return c.json(await listEntries(kernel.store.read, { tree_id: id }, after(c.req.query())));
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
  const tree = await findTree(kernel.store.read, id);
  if (!tree) throw notFound("tree", id);
  return tree;
}

/** Begins a tree, or answers as before when the key was used for the same request. */
async function begin(
  kernel: Kernel,
  request: z.infer<typeof newTree>,
  key: string | undefined,
): Promise<TreeView> {
  if (key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw badField("Idempotency-Key", "must be 1 to 255 visible ASCII characters");
  }
  const asked = JSON.stringify(request);
  const before = key === undefined ? null : await answered(kernel, key, asked);
  if (before) return await known(kernel, before);
  const now = kernel.clock.now();
  const remembering = (tree_id: string) =>
    key === undefined
      ? []
      : [forgetAnswers(now - IDEMPOTENCY_MS), rememberAnswer(key, asked, { tree_id }, now)];
  const { id, result } = await kernel.submit(request, remembering);
  if (result.ok) return await known(kernel, id);
  // Two requests with one key at once: the other one was first.
  const first = key === undefined ? null : await answered(kernel, key, asked);
  if (first) return await known(kernel, first);
  throw new Problem(503, "Service unavailable", `The tree was not begun: ${result.reason}`);
}

async function answered(kernel: Kernel, key: string, asked: string): Promise<string | null> {
  const row = await kernel.store.read.selectFrom("idempotency_keys").selectAll()
    .where("key", "=", key).executeTakeFirst();
  if (!row) return null;
  if (row.request !== asked) {
    throw new Problem(
      422,
      "Unprocessable content",
      "Idempotency-Key: was used for another request before",
    );
  }
  return JSON.parse(row.response_json).tree_id;
}
