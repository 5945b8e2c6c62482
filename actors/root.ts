/**
 * The supervision tree, as data. Order is dependence: with `rest_for_one`, what stands below a child
 * is restarted with it. The store cannot be replaced alone (a terminated connection may keep the
 * database's lock): its death ends the kernel, and the launcher starts a new one from the journal.
 */
import type { SupervisorSpec } from "../runtime/core/supervision.ts";
import {
  CELLS_RESTARTS_MAX,
  KERNEL_PARTS_RESTARTS_MAX,
  PERFORMERS_RESTARTS_MAX,
  RESTARTS_PERIOD_MS,
} from "../runtime/core/limits.ts";

export const root: SupervisorSpec = {
  type: "supervisor",
  id: "troupe",
  strategy: "rest_for_one",
  intensity: { restarts_max: KERNEL_PARTS_RESTARTS_MAX, period_ms: RESTARTS_PERIOD_MS },
  children: [
    { type: "worker", id: "store", kind: "store", restart: "permanent", significant: true },
    {
      type: "supervisor",
      id: "performers",
      strategy: "one_for_one",
      intensity: { restarts_max: PERFORMERS_RESTARTS_MAX, period_ms: RESTARTS_PERIOD_MS },
      children: [
        { type: "worker", id: "gateway", kind: "gateway", restart: "permanent" },
        { type: "worker", id: "files", kind: "files", restart: "permanent" },
        { type: "worker", id: "tools", kind: "tools", restart: "permanent" },
      ],
    },
    {
      type: "supervisor",
      id: "cells",
      strategy: "one_for_one",
      intensity: { restarts_max: CELLS_RESTARTS_MAX, period_ms: RESTARTS_PERIOD_MS },
      children: [{ type: "worker", id: "cell-1", kind: "cell", restart: "permanent" }],
    },
    { type: "worker", id: "scheduler", kind: "scheduler", restart: "permanent" },
    { type: "worker", id: "watch", kind: "watch", restart: "permanent" },
    { type: "worker", id: "housekeeping", kind: "housekeeping", restart: "permanent" },
  ],
};
