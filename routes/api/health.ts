/** `/health` and `/ready`: whether the program lives, and whether it can do its work. */
import { Hono } from "hono";
import { sql } from "kysely";
import type { Kernel } from "../../runtime/kernel.ts";

export function health(kernel: Kernel): Hono {
  const app = new Hono();
  app.get("/health", (c) => c.json({ status: "ok" }));
  app.get("/ready", async (c) => {
    try {
      await sql`SELECT 1`.execute(kernel.read);
      const { agents, cells } = await kernel.look();
      return c.json({ status: "ready", ...agents, ...cells });
    } catch (error) {
      return c.json({ status: "not ready", reason: (error as Error).message }, 503);
    }
  });
  return app;
}
