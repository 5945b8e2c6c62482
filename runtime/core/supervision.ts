/**
 * Supervision in the terms of OTP, as data and pure functions: which children restart when one dies,
 * and when a supervisor has restarted so often that it gives up and tells its own supervisor.
 * Source: Erlang/OTP, `supervisor` behaviour (strategies, maximum restart intensity).
 */

export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/** At most `restarts_max` restarts within `period_ms`; one more is escalated. */
export interface Intensity {
  readonly restarts_max: number;
  readonly period_ms: number;
}

export interface WorkerSpec {
  readonly type: "worker";
  readonly id: string;
  /** Which starter brings it to life. */
  readonly kind: string;
  readonly restart: "permanent" | "transient" | "temporary";
  /** A significant child cannot be replaced alone: its death is escalated at once. */
  readonly significant?: boolean;
}

export interface SupervisorSpec {
  readonly type: "supervisor";
  readonly id: string;
  readonly strategy: Strategy;
  readonly intensity: Intensity;
  readonly children: readonly ChildSpec[];
}

export type ChildSpec = WorkerSpec | SupervisorSpec;

/** A supervision tree as it is now, for the system page. */
export type Supervised =
  & {
    readonly id: string;
    readonly state: "running" | "starting" | "stopped";
    readonly restarts: number;
  }
  & ({ readonly type: "worker"; readonly kind: string } | {
    readonly type: "supervisor";
    readonly strategy: Strategy;
    readonly children: readonly Supervised[];
  });

export type Verdict =
  | {
    readonly verdict: "restart";
    /** Children that are stopped first, and those of them that are started anew, each in the order of the start. */
    readonly stops: readonly string[];
    readonly ids: readonly string[];
    readonly restarts: number[];
  }
  | { readonly verdict: "leave" }
  | { readonly verdict: "escalate"; readonly reason: string };

/**
 * Decides what a supervisor does about a dead child.
 * `restarts` are the times (ms) of its restarts so far; the verdict carries the pruned list.
 */
export function afterDeath(
  spec: SupervisorSpec,
  child: string,
  crashed: boolean,
  restarts: readonly number[],
  now: number,
): Verdict {
  const dead = spec.children.find(({ id }) => id === child);
  if (!dead) return { verdict: "leave" };
  if (dead.type === "worker") {
    if (dead.restart === "temporary") return { verdict: "leave" };
    if (dead.restart === "transient" && !crashed) return { verdict: "leave" };
    if (dead.significant) {
      return { verdict: "escalate", reason: `${child} died and cannot be replaced alone` };
    }
  }
  const recent = [...restarts.filter((at) => now - at < spec.intensity.period_ms), now];
  if (recent.length > spec.intensity.restarts_max) {
    const { restarts_max, period_ms } = spec.intensity;
    return {
      verdict: "escalate",
      reason: `${spec.id} restarted more than ${restarts_max} times in ${period_ms} ms`,
    };
  }
  const stops = takenAlong(spec, child);
  const temporary = spec.children.filter((one) =>
    one.type === "worker" && one.restart === "temporary"
  ).map(({ id }) => id);
  const ids = stops.filter((id) => !temporary.includes(id));
  return { verdict: "restart", stops, ids, restarts: recent };
}

/** The children that `child` takes along when it dies, in the order in which they start. */
function takenAlong(spec: SupervisorSpec, child: string): string[] {
  const ids = spec.children.map(({ id }) => id);
  switch (spec.strategy) {
    case "one_for_one":
      return [child];
    case "one_for_all":
      return ids;
    case "rest_for_one":
      return ids.slice(ids.indexOf(child));
  }
}
