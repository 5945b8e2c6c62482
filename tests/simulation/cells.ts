/**
 * The cells of the simulation: the production agent answers in them, through the production schema. Its
 * worker may fail at an envelope, be silent, or go down with its cell. They notice whoever is run twice.
 */
import agent, { type AgentMessage, type AgentState } from "../../actors/agent.ts";
import { answerIn } from "../../runtime/cells/frames.ts";
import type { Ports } from "../../runtime/boot.ts";
import type { Address } from "../../runtime/core/protocol.ts";
import type { Database } from "./database.ts";
import type { World } from "./world.ts";

interface SimulatedWorker {
  address: Address | null;
  state: AgentState;
  /** The envelope in hand. */
  envelope: string | null;
}

/** After so long a silent worker is given up. */
const SILENT_MS = 4_000;

export interface SimulatedCells {
  readonly port: Ports["cells"];
  /** Workers that nobody has stopped. */
  readonly count: () => number;
}

export function cells(world: World, database: Database): SimulatedCells {
  const workers = new Map<number, SimulatedWorker>();
  let last = 0;
  let end: ((reason: string) => void) | null = null;

  const port: Ports["cells"] = {
    onStep: () => {},
    onFailure: () => {},
    onFull: () => {},
    reserve: () => {},
    get size() {
      return { cells: end ? 1 : 0, workers: workers.size };
    },
    open: () => {
      const gone = Promise.withResolvers<string | null>();
      end = gone.resolve;
      const stop = () => {
        die("stopped");
        gone.resolve(null);
        return Promise.resolve();
      };
      return Promise.resolve({ gone: gone.promise, stop });
    },
    start: () => {
      workers.set(++last, { address: null, state: agent.initial, envelope: null });
      return last;
    },
    deliver: (worker, envelope, message, state) => {
      const seat = workers.get(worker);
      if (!seat) return world.wrong(`an envelope is handed to a worker that was stopped`);
      if (seat.envelope) world.wrong(`a worker has two envelopes in hand`);
      if (state !== null) seat.state = JSON.parse(state);
      seat.envelope = envelope;
      seat.address = addressOf(envelope);
      for (const [other, { address }] of workers) {
        if (other !== worker && address === seat.address) {
          world.wrong(`two workers at once for ${seat.address}`);
        }
      }
      receive(worker, seat, envelope, JSON.parse(message));
    },
    stop: (worker) => void workers.delete(worker),
  };

  function addressOf(envelope: string): Address | null {
    const found = database.look<{ to_address: Address }>(
      "SELECT to_address FROM envelopes WHERE id = ?",
      envelope,
    );
    return found.at(0)?.to_address ?? null;
  }

  function receive(
    worker: number,
    seat: SimulatedWorker,
    envelope: string,
    message: AgentMessage,
  ): void {
    const { weather } = database;
    if (world.chance(weather.dying)) {
      return void world.offer("cell: dies", world.between(0, 50), () => {
        const ended = end;
        die("killed");
        ended?.("it was killed");
      });
    }
    const named = `worker ${worker}: ${message.type}`;
    if (world.chance(weather.failing)) {
      const silent = world.chance(50);
      const ms = silent ? SILENT_MS : world.between(0, 20);
      return void world.offer(`${named} fails`, ms, () => {
        if (workers.get(worker) !== seat || seat.envelope !== envelope) return;
        workers.delete(worker);
        port.onFailure(worker, silent ? "no heartbeat" : "it threw", silent ? "unclear" : "own");
      });
    }
    world.offer(named, world.between(0, 20), () => {
      // Stopped meanwhile: nobody waits for it.
      if (workers.get(worker) !== seat) return;
      const { state, effects, ending } = agent.receive(seat.state, message);
      seat.state = state;
      seat.envelope = null;
      const said = { envelope, state: JSON.stringify(state), effects, ending };
      const answer = answerIn(new TextEncoder().encode(JSON.stringify(said)));
      if (answer.success) port.onStep(worker, answer.data);
      else world.wrong(`the agent's answer breaks its schema: ${answer.error.message}`);
    });
  }

  /** With all its workers; any of them may have done it. */
  function die(why: string): void {
    end = null;
    const lost = [...workers.keys()];
    workers.clear();
    for (const worker of lost) port.onFailure(worker, `its cell ended (${why})`, "unclear");
  }

  return { port, count: () => workers.size };
}
