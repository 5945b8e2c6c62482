/** `/api/system`: what runs, who answers, and what contains what agents write. */
import { Hono } from "hono";
import type { Kernel } from "../../runtime/kernel.ts";
import { describeLayers } from "../../runtime/confined/sandbox.ts";

export function system(kernel: Kernel): Hono {
  const app = new Hono();
  app.get("/", async (c) => c.json(await readSystem(kernel)));
  return app;
}

export type SystemView = Awaited<ReturnType<typeof readSystem>>;
export type LaneState = Awaited<ReturnType<typeof readLanes>>[number];

/** The system as it is now; times are ISO 8601. */
export async function readSystem(kernel: Kernel) {
  const { layers, containment, provider = null } = kernel.config;
  return {
    agents: kernel.load,
    cells: kernel.cells.size,
    tool_cells: kernel.tools.load,
    containment: { mode: containment, layers, summary: describeLayers(layers, containment) },
    model: {
      provider: provider && new URL(provider.base_url).host,
      aliases: provider && provider.models,
      lanes: await readLanes(kernel),
    },
    supervision: kernel.supervisor.look(),
  };
}

async function readLanes({ gateway }: Kernel) {
  const lanes = await gateway.views();
  return lanes.map(({ breaker, paused_until, ...lane }) => ({
    ...lane,
    breaker: breaker.state === "open" ? { ...breaker, until: iso(breaker.until) } : breaker,
    paused_until: paused_until === null ? null : iso(paused_until),
  }));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
