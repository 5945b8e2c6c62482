/** `/api/system`: what runs, who answers, and what contains what agents write. */
import { Hono } from "hono";
import type { Kernel } from "../../runtime/kernel.ts";
import type { LaneView } from "../../runtime/core/model/lane.ts";

export function system(kernel: Kernel): Hono {
  const app = new Hono();
  app.get("/", async (c) => c.json(await readSystem(kernel)));
  return app;
}

export type SystemView = Awaited<ReturnType<typeof readSystem>>;
export type LaneState = ReturnType<typeof laneState>;

/** The system as it is now; times are ISO 8601. */
export async function readSystem(kernel: Kernel) {
  const { provider, containment } = kernel.about;
  const { lanes, ...at_work } = await kernel.look();
  return {
    agents: at_work.agents,
    cells: at_work.cells,
    tool_cells: at_work.tool_cells,
    containment,
    model: {
      provider: provider && new URL(provider.base_url).host,
      aliases: provider && provider.models,
      lanes: lanes.map(laneState),
    },
    supervision: at_work.supervision,
  };
}

function laneState({ breaker, paused_until, ...lane }: LaneView) {
  return {
    ...lane,
    breaker: breaker.state === "open" ? { ...breaker, until: iso(breaker.until) } : breaker,
    paused_until: paused_until === null ? null : iso(paused_until),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
