/** `/api/tasks`: one task and its journal. */
import { Hono } from "hono";
import { listEntries } from "../../db/entries.ts";
import { findTask, type TaskView } from "../../db/task_views.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { notFound } from "../http/problem.ts";
import { after } from "./trees.ts";

export function tasks(kernel: Kernel): Hono {
  const app = new Hono();

  app.get("/:id", async (c) => c.json(await known(kernel, c.req.param("id"))));

  app.get("/:id/messages", async (c) => {
    const { id } = await known(kernel, c.req.param("id"));
    return c.json(await listEntries(kernel.read, { task_id: id }, after(c.req.query())));
  });

  return app;
}

async function known(kernel: Kernel, id: string): Promise<TaskView> {
  const task = await findTask(kernel.read, id);
  if (!task) throw notFound("task", id);
  return task;
}
