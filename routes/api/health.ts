/** `/health` and `/ready`: whether the program lives, and whether it can do its work. */
import { Hono } from "hono";
import type { Kernel } from "../../runtime/kernel.ts";

export function health(
  kernel: {
    readonly liveness: Pick<Kernel["liveness"], "prove">;
    readonly look: Kernel["look"];
  },
): Hono {
  const app = new Hono();
  app.get("/health", (c) => c.json({ status: "ok" }));
  app.get("/ready", async (c) => {
    const reason = await kernel.liveness.prove();
    if (reason !== null) return c.json({ status: "not ready", reason }, 503);
    const { agents, cells } = await kernel.look();
    return c.json({ status: "ready", ...agents, ...cells });
  });
  return app;
}
