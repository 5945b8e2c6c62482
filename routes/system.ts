/** `/api/system`: what runs, and what contains what agents write. */
import { Hono } from "hono";
import type { Kernel } from "../runtime/kernel.ts";
import { describeLayers } from "../runtime/sandbox.ts";

export function system(kernel: Kernel): Hono {
  const app = new Hono();
  app.get("/", (c) => {
    const { layers, containment } = kernel.config;
    return c.json({
      agents: kernel.load,
      cells: kernel.cells.size,
      tool_cells: kernel.tools.load,
      containment: { mode: containment, layers, summary: describeLayers(layers, containment) },
    });
  });
  return app;
}
