/**
 * A person at `/health`, in a thread that nobody else has: asks again and again for each look that has
 * begun, and holds how long an answer took against what the machine gave meanwhile. Told the page's
 * address a look begins; told none it ends with the slowest answer, or what was wrong with one.
 */
import { weighed } from "../support/machine.ts";

declare const self: {
  onmessage: (event: { readonly data: Told }) => void;
  postMessage(asked: Asked): void;
};

export interface Told {
  readonly look: number;
  readonly url: string | null;
}

export interface Asked {
  readonly look: number;
  readonly slowest: Slowest;
}

export type Slowest = { readonly took_ms: number } | { readonly wrong: string };

const BETWEEN_MS = 20;

/** Looks that have not been told to end. */
const looking = new Set<number>();

self.onmessage = async ({ data: { look, url } }) => {
  if (url === null) return void looking.delete(look);
  looking.add(look);
  const slowest = await slowestOf(look, url).catch((error) => ({ wrong: String(error) }));
  self.postMessage({ look, slowest });
};

async function slowestOf(look: number, url: string): Promise<Slowest> {
  let took_ms = 0;
  while (looking.has(look)) {
    took_ms = Math.max(took_ms, await ask(url));
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
  }
  return { took_ms };
}

async function ask(url: string): Promise<number> {
  const { result: status, took_ms } = await weighed(answered(url));
  if (status !== 200) throw new Error(`/health answered ${status}`);
  return took_ms;
}

async function answered(url: string): Promise<number> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
}
