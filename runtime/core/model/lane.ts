/** How a model that was asked for is doing, as it is shown. */
import type { Breaker } from "./breaker.ts";
import type { Throttle } from "./throttle.ts";

/** Times are ms since 1970. */
export interface LaneView {
  readonly model: string;
  readonly breaker: Breaker;
  readonly under_way: number;
  readonly waiting: number;
  readonly paused_until: number | null;
  readonly limits: ReturnType<Throttle["levels"]>;
}
