/**
 * What the kernel touches of the world outside, in the simulation: files, tools and the terminal. A command
 * is noted when it is run, so that one which must happen once is seen to happen twice.
 */
import type { Ports } from "../../runtime/boot.ts";
import type { Child } from "../../runtime/ports.ts";
import type { Database } from "./database.ts";
import type { World } from "./world.ts";

export interface SimulatedHands {
  readonly files: Ports["files"];
  readonly tools: Ports["tools"];
  readonly terminal: Ports["terminal"];
}

/** @param ran how often each command was run */
export function hands(
  world: World,
  database: Database,
  ran: Map<string, number>,
): SimulatedHands {
  /** Done after a while; the kernel may be killed just before, or just after. */
  function after<T>(what: string, ms: number, signal: AbortSignal, done: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const callOff = world.offer(what, ms, () => {
        signal.removeEventListener("abort", leave);
        const { killed } = database.weather;
        if (world.chance(killed)) return world.kill(`before ${what}`);
        const outcome = done();
        if (world.chance(killed)) return world.kill(`after ${what}`);
        resolve(outcome);
      });
      const leave = () => {
        callOff();
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  return {
    files: {
      open: child,
      use: ({ tool }, signal) =>
        after(`files: ${tool}`, world.between(1, 50), signal, () => ({ content: "done" })),
    },
    tools: {
      contained: true,
      load: { running: 0, waiting: 0 },
      open: child,
      run: (tool, _input, _tree_id, signal) =>
        after(`tool: ${tool.name}`, world.between(50, 500), signal, () => outcome),
      try: (tool, _input, _files, signal) =>
        after(`tool: ${tool.name}`, world.between(50, 500), signal, () => outcome),
      check: (_source, signal) => after("tool: check", 500, signal, () => null),
    },
    terminal: {
      contained: true,
      run: ({ command }, signal) => {
        ran.set(command, (ran.get(command) ?? 0) + 1);
        return after(`terminal: ${command}`, world.between(50, 8_000), signal, () => ({
          code: 0,
          signal: null,
          stopped: null,
          output: "done",
          dropped: 0,
        }));
      },
    },
  };
}

const outcome = { ok: true, value: "done", log: "" } as const;

/** One that lives until it is stopped. */
function child(): Promise<Child> {
  const gone = Promise.withResolvers<null>();
  return Promise.resolve({
    gone: gone.promise,
    stop: () => {
      gone.resolve(null);
      return Promise.resolve();
    },
  });
}
