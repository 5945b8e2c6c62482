/** The system page: who answers and how that goes, what runs, and the supervision tree. */
import type { Supervised } from "../../../runtime/core/supervision.ts";
import { Moment } from "../../frame/components.tsx";
import type { LaneState, SystemView } from "../../api/system.ts";

export const SYSTEM_ID = "system";

interface SystemRead {
  readonly system: SystemView;
  /** In ms since 1970. */
  readonly now: number;
}

export function SystemPage({ system, now }: SystemRead) {
  const { model, agents, cells, tool_cells, containment, supervision } = system;
  return (
    <div id={SYSTEM_ID}>
      <h1>System</h1>
      <section aria-labelledby="model-title">
        <h2 id="model-title">Model</h2>
        <ModelAtWork model={model} now={now} />
      </section>
      <section aria-labelledby="work-title">
        <h2 id="work-title">At work</h2>
        <dl class="figures">
          <dt>Agents</dt>
          <dd>
            {`${agents.running} at work, ${agents.runnable} waiting for one of ${agents.slots} slots`}
          </dd>
          <dt>Cells</dt>
          <dd>{`${count(cells.cells, "cell")} with ${count(cells.workers, "worker")}`}</dd>
          <dt>Tool cells</dt>
          <dd>{`${count(tool_cells.running, "call")} under way, ${tool_cells.waiting} waiting`}</dd>
          <dt>Containment</dt>
          <dd>{containment.summary}</dd>
        </dl>
      </section>
      <section aria-labelledby="supervision-title">
        <h2 id="supervision-title">Supervision tree</h2>
        <ul class="supervision">
          <SupervisedItem of={supervision} />
        </ul>
      </section>
    </div>
  );
}

function ModelAtWork({ model: { provider, aliases, lanes }, now }: {
  model: SystemView["model"];
  now: number;
}) {
  if (!aliases) {
    return (
      <p>
        <strong>Offline model.</strong> A small program plays the demo tasks, inside Troupe itself.
      </p>
    );
  }
  return (
    <>
      <dl class="figures">
        <dt>Provider</dt>
        <dd>{provider}</dd>
        {(["default", "fast", "strong"] as const).map((alias) => (
          <>
            <dt>{alias}</dt>
            <dd>
              <code>{aliases[alias]}</code>
            </dd>
          </>
        ))}
      </dl>
      {lanes.length === 0 && (
        <p>
          <small>Nobody has asked it since it was started.</small>
        </p>
      )}
      <ul class="lanes">
        {lanes.map((lane) => <LaneAtWork key={lane.model} lane={lane} now={now} />)}
      </ul>
    </>
  );
}

function LaneAtWork({ lane, now }: { lane: LaneState; now: number }) {
  const { model, breaker, under_way, waiting, paused_until, limits } = lane;
  const told = Object.entries(limits).map(([kind, { limit, remaining }]) =>
    `${remaining.toLocaleString("en")} of ${limit.toLocaleString("en")} ${kind.replace("_", " ")}`
  );
  return (
    <li>
      <p class="facts">
        <code>{model}</code>
        <LaneBadge breaker={breaker} now={now} />
        <small>{`${count(under_way, "call")} under way, ${waiting} waiting`}</small>
      </p>
      {breaker.state === "closed"
        ? breaker.failures > 0 && <p>{`${count(breaker.failures, "failure")} in a row`}</p>
        : <p class="reason">{breaker.reason}</p>}
      {paused_until !== null && (
        <p>
          Its provider wants no call until <Moment at={Date.parse(paused_until)} />
        </p>
      )}
      {told.length > 0 && (
        <p>
          <small>{`Its provider's limits leave ${told.join(", ")}`}</small>
        </p>
      )}
    </li>
  );
}

function LaneBadge({ breaker, now }: { breaker: LaneState["breaker"]; now: number }) {
  return <span class={`badge ${breaker.state}`}>{inWords(breaker, now)}</span>;
}

function inWords(breaker: LaneState["breaker"], now: number) {
  switch (breaker.state) {
    case "closed":
      return "answers";
    case "open": {
      const until = Date.parse(breaker.until);
      // It closes or opens again by a call alone, however long nobody makes one.
      if (until <= now) return "left alone until somebody asks";
      return (
        <>
          left alone until <Moment at={until} />
        </>
      );
    }
    case "half_open":
      return "one call tries";
  }
}

function SupervisedItem({ of }: { of: Supervised }) {
  const { id, state, restarts } = of;
  return (
    <li>
      <p class="facts">
        {of.type === "supervisor" ? <strong>{id}</strong> : <span>{id}</span>}
        <span class={`badge ${state}`}>{state}</span>
        {of.type === "supervisor" && <small>{of.strategy}</small>}
        {restarts > 0 && (
          <small>{`restarted ${restarts === 1 ? "once" : `${restarts} times`}`}</small>
        )}
      </p>
      {of.type === "supervisor" && (
        <ul>
          {of.children.map((child) => <SupervisedItem key={child.id} of={child} />)}
        </ul>
      )}
    </li>
  );
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
