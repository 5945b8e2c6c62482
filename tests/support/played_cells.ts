/** Cells without processes: they note what actors are handed, and the test answers. */
import type { Effect } from "../../runtime/core/protocol.ts";
import type { Cells } from "../../runtime/ports.ts";

export interface Handed {
  readonly worker: number;
  readonly envelope: string;
  /** As JSON. */
  readonly message: string;
}

export class PlayedCells implements Cells {
  readonly handed: Handed[] = [];
  /** Workers that were started and not stopped. */
  readonly workers = new Set<number>();
  #workers = 0;
  onStep: Cells["onStep"] = () => {};
  onFailure: Cells["onFailure"] = () => {};
  start = () => {
    this.workers.add(++this.#workers);
    return this.#workers;
  };
  stop = (worker: number) => void this.workers.delete(worker);
  deliver(worker: number, envelope: string, message: string) {
    this.handed.push({ worker, envelope, message });
  }
  answer({ worker, envelope }: Handed, effects: readonly Effect[] = []) {
    this.onStep(worker, { envelope, state: "{}", effects });
  }
}
