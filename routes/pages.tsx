import { Hono } from "hono";
import type { Kernel } from "../runtime/kernel.ts";
export function pages(_kernel: Kernel): Hono {
  return new Hono();
}
