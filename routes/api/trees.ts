/** `/api/trees`: begin a tree, list and read trees, their journal and their events. */
import { Hono } from "hono";
import * as z from "zod";
import { forgetAnswers, rememberAnswer } from "../../db/idempotency_keys.ts";
import { findTree, listEntries, listTrees, tasksOf, type TreeView } from "../../db/views/api.ts";
import { begin, type VerbOf } from "../../runtime/core/command.ts";
import {
  ID_CHARS_MAX,
  IDEMPOTENCY_KEY_CHARS_MAX,
  IDEMPOTENCY_MS,
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

/** Begins a tree; `extra` becomes true in the same transaction. */
export function beginTree(
  kernel: Kernel,
  { verb: _, ...request }: VerbOf<"begin">,
  extra?: Parameters<Kernel["submit"]>[1],
): ReturnType<Kernel["submit"]> {
  return kernel.submit(request, extra);
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
  // The verb is left out, as in the keys that are remembered from before there was one.
  const { verb: _, ...request } = wanted;
  const asked = JSON.stringify(request);
  const before = key === undefined ? null : await answered(kernel, key, asked);
  if (before) return await known(kernel, before);
  const now = kernel.clock.now();
  const remembering = (tree_id: string) =>
    key === undefined
      ? []
      : [forgetAnswers(now - IDEMPOTENCY_MS), rememberAnswer(key, asked, { tree_id }, now)];
  const { id, result } = await beginTree(kernel, wanted, remembering);
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
