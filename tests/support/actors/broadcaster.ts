/**
 * Takes the message that would have it hosted for itself, and so has its event loop for a while: tells
 * and hears whatever it can, then lets itself be hosted and ends with what it heard.
 */
import { actor, stop } from "../../../runtime/core/actor.ts";

const me = `${Deno.pid} ${crypto.randomUUID()}`;
const heard: string[] = [];
const ways = new Set<string>();

const channel = new BroadcastChannel("between");
const shared: Int32Array<SharedArrayBuffer>[] = [];
channel.onmessage = ({ data }) => {
  if (data instanceof SharedArrayBuffer) Atomics.add(new Int32Array(data), 0, 1);
  else heard.push(`channel ${data}`);
};

async function attempt(way: () => Promise<string[]>): Promise<void> {
  try {
    const none = new Promise<string[]>((resolve) => setTimeout(() => resolve([]), 100));
    for (const one of await Promise.race([way(), none])) if (!one.includes(me)) ways.add(one);
  } catch {
    // There is no such way here.
  }
}

async function listen(): Promise<void> {
  const until = performance.now() + 500;
  while (performance.now() < until) {
    await attempt(() => {
      channel.postMessage(me);
      return Promise.resolve([]);
    });
    await attempt(() => {
      // Memory itself must not come over, not even to a worker of the same process.
      const memory = new SharedArrayBuffer(8);
      shared.push(new Int32Array(memory));
      channel.postMessage(memory);
      const changed = shared.some((view) => Atomics.load(view, 0) !== 0);
      return Promise.resolve(changed ? [`memory ${Deno.pid} ${crypto.randomUUID()}`] : []);
    });
    await attempt(async () => {
      const cache = await caches.open("between");
      await cache.put(`http://cache/${encodeURIComponent(me)}`, new Response(me));
      const found: string[] = [];
      for (const { url } of await (cache as unknown as { keys(): Promise<Request[]> }).keys()) {
        found.push(`cache ${decodeURIComponent(url)}`);
      }
      return found;
    });
    await attempt(async () => {
      const cache = await caches.open("between");
      const last = await cache.match("http://cache/last");
      await cache.put("http://cache/last", new Response(me));
      return last ? [`cache ${await last.text()}`] : [];
    });
    await attempt(async () => {
      const { locks } = navigator as unknown as {
        locks: {
          request(name: string, held: () => Promise<void>): Promise<void>;
          query(): Promise<{ held: { name: string }[] }>;
        };
      };
      locks.request(`lock ${me}`, () => new Promise(() => {}));
      return (await locks.query()).held.map(({ name }) => name);
    });
    await attempt(() => {
      const last = localStorage.getItem("last");
      localStorage.setItem("last", me);
      return Promise.resolve(last ? [`storage ${last}`] : []);
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  channel.close();
}

self.addEventListener("message", (event) => {
  event.stopImmediatePropagation();
  listen().then(() => (self as unknown as { onmessage(event: Event): void }).onmessage(event));
}, { once: true });

export default actor<null, { type: string }>({
  kind: "broadcaster",
  restart: "transient",
  initial: null,
  receive: () => {
    const all = [...heard, ...ways].filter((one) => !one.includes(me));
    return stop(null, { status: "done", result: JSON.stringify({ me, heard: [...new Set(all)] }) });
  },
});
