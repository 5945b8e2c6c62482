/** The loop with its outbox and looks over the real store: the test plays actors and performers. */
import type { Store } from "../../db/store.ts";
import { commitAndTell } from "../../runtime/commands/commit.ts";
import { unitOf } from "../../runtime/commands/mod.ts";
import type { Performers } from "../../runtime/commands/outcome.ts";
import type { By, Command } from "../../runtime/core/command.ts";
import { POLL_MS, STOP_GRACE_MS } from "../../runtime/core/limits.ts";
import { LostWorkLook } from "../../runtime/loop/lost_work.ts";
import { Scheduler } from "../../runtime/loop/scheduler.ts";
import { WallTimeLook } from "../../runtime/loop/wall_time.ts";
import { EffectOutbox } from "../../runtime/outbox/outbox.ts";
import { type Loop, ulids } from "../../runtime/ports.ts";
import { HandClock } from "./clock.ts";
import { PlayedCells } from "./played_cells.ts";
import type { TempStore } from "./store.ts";
import { until } from "./until.ts";

/**
 * @param performers those that the test asks for
 * @param commit stands before the store's
 */
export function playedLoop(
  { store: real }: TempStore,
  performers: Partial<Performers>,
  { commit = real.commit, slots = 100 }: { commit?: Store["commit"]; slots?: number } = {},
) {
  const store = { ...real, commit };
  const clock = new HandClock();
  const cells = new PlayedCells();
  const lines: string[] = [];
  const loop: Loop = {
    wake: (runnable) => scheduler.wake(runnable),
    drop: (addresses) => scheduler.drop(addresses),
    expect: () => {},
  };
  const log = (line: string) => void lines.push(line);
  const ports = { store, news: { publish: () => {} }, loop, clock, ids: ulids, log };
  const reading = { read: store.read, clock, ids: ulids, timeout_seconds: 60 };
  const outbox = new EffectOutbox({ ...ports, ...reading }, {
    tools: {},
    ...performers,
    // What the test does not ask for is not there.
  } as Performers);
  const scheduler: Scheduler = new Scheduler({ ...ports, cells, outbox }, { owner: "test", slots });
  const lost_work = new LostWorkLook(ports);
  const wall_time = new WallTimeLook({ ...ports, check_interval_ms: POLL_MS });
  return {
    ...{ cells, clock, lines, scheduler, lost_work, wall_time },
    /** Commits what somebody commands, and tells the loop. */
    async dispatch(command: Command, by: By) {
      const work = await unitOf(reading, command, by);
      return await commitAndTell(ports, work.unit, work.concerned);
    },
    /** Waits for a condition while the clock goes on and is looked at. */
    until: <T>(what: string, look: () => T | Promise<T>) =>
      until(what, async () => {
        clock.advance(POLL_MS);
        await lost_work.look();
        return await look();
      }),
    /** Steps in progress are not waited for. */
    async stop() {
      const stopping = scheduler.stop();
      clock.advance(STOP_GRACE_MS);
      await stopping;
      await outbox.stop();
    },
  };
}
