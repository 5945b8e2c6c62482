/**
 * A person at `/health`, in a thread that nobody else has: asks again and again, and holds how long an
 * answer took against what the machine gave meanwhile. Told the page's address it begins; told anything
 * else it tells the slowest answer, or what was wrong with one.
 */
import { weighed } from "../support/machine.ts";

declare const self: {
  onmessage: (event: { readonly data: string | null }) => void;
  postMessage(told: Slowest): void;
};

export type Slowest = { readonly took_ms: number } | { readonly wrong: string };

const BETWEEN_MS = 20;

let url = "";
let over = false;

self.onmessage = async ({ data }) => {
  if (data === null) return void (over = true);
  url = data;
  self.postMessage(await look().catch((error) => ({ wrong: String(error) })));
};

async function look(): Promise<Slowest> {
  let took_ms = 0;
  while (!over) {
    took_ms = Math.max(took_ms, await ask());
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
  }
  return { took_ms };
}

async function ask(): Promise<number> {
  const { result: status, took_ms } = await weighed(answered());
  if (status !== 200) throw new Error(`/health answered ${status}`);
  return took_ms;
}

async function answered(): Promise<number> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
}
