/** How many streams a process may hold open beside its work. */
import {
  CELLS_MAX,
  DESCRIPTORS_KEPT,
  DESCRIPTORS_PER_CELL,
  MODEL_CALLS_MAX,
  STREAMS_LEAST,
  STREAMS_MAX,
  SUSPECT_CELLS_MAX,
  TOOL_CELLS_MAX,
  WORKSPACE_PROCESSES_MAX,
} from "./limits.ts";

/**
 * What its descriptors leave when the agents are all at work: each in a cell of its own at the worst,
 * with a model call, and every tool cell and workspace process in use.
 * @param descriptors that the process may have
 * @param agents at work at once
 */
export function streamsMax(descriptors: number, agents: number): number {
  const cells = Math.min(CELLS_MAX, 1 + agents + SUSPECT_CELLS_MAX) + TOOL_CELLS_MAX +
    WORKSPACE_PROCESSES_MAX;
  const work = cells * DESCRIPTORS_PER_CELL + Math.min(agents, MODEL_CALLS_MAX) + DESCRIPTORS_KEPT;
  return Math.max(STREAMS_LEAST, Math.min(STREAMS_MAX, descriptors - work));
}
