/** `/api/tools`: every tool in every version; those that agents wrote can be disabled and deleted. */
import { Hono } from "hono";
import { listTools } from "../../db/tools.ts";
import { disable_tool, PERSON } from "../../runtime/core/command.ts";
import type { Dispatched, Kernel } from "../../runtime/kernel.ts";
import { readBody } from "../http/body.ts";
import { notFound, Problem } from "../http/problem.ts";

const change = disable_tool.omit({ verb: true, name: true });

export function tools(kernel: Kernel): Hono {
  const app = new Hono();
  const db = kernel.read;

  app.get("/", async (c) => c.json({ items: await listTools(db), next_cursor: null }));

  app.get("/:name", async (c) => {
    const versions = await listTools(db, c.req.param("name"));
    if (versions.length === 0) throw notFound("tool", c.req.param("name"));
    return c.json({ ...versions[0], versions });
  });

  app.patch("/:name", async (c) => {
    const { disabled } = await readBody(c, change);
    const name = await written(kernel, c.req.param("name"));
    done(await kernel.dispatch({ verb: "disable_tool", name, disabled }, PERSON));
    return c.json((await listTools(db, name))[0]);
  });

  app.delete("/:name", async (c) => {
    const name = await written(kernel, c.req.param("name"));
    done(await kernel.dispatch({ verb: "delete_tool", name }, PERSON));
    return c.body(null, 204);
  });

  return app;
}

/** The name of a tool that an agent wrote. */
async function written(kernel: Kernel, name: string): Promise<string> {
  const [newest] = await listTools(kernel.read, name);
  if (!newest) throw notFound("tool", name);
  if (newest.source !== null) return name;
  throw new Problem(
    409,
    "Conflict",
    `${name} is built in: only tools that agents wrote can change`,
  );
}

function done(result: Dispatched<unknown>): void {
  if (!result.ok) throw new Problem(409, "Conflict", result.reason);
}
