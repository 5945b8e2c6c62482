/** Does what its message says under `how`, as an actor that an attacker wrote. */
import { FRAME_BYTES_MAX, STATE_BYTES_MAX } from "../../../runtime/core/limits.ts";
import { actor, type Next, next, stop } from "../../../runtime/core/actor.ts";

interface Go {
  type: string;
  address: string;
  how: keyof typeof HOW;
  /** Of whom it attacks. */
  victim?: string;
  /** Fields of its answer. */
  json?: string;
}

declare const self: {
  close(): void;
  postMessage(message: unknown): void;
  setTimeout(later: () => void, ms: number): void;
  setInterval(later: () => void, ms: number): void;
};

const DONE = stop(null, { status: "done", result: "answered" });

function answer(envelope: string, result: string): string {
  const ending = { status: "done", result };
  return JSON.stringify({ envelope, state: "null", effects: [], ending });
}

const HOW = {
  answers: ({ address, json }: Go): Next => {
    const fields = JSON.parse(json!);
    if (fields.ending || fields.effects && !Array.isArray(fields.effects)) {
      return { ...next(null), ...fields };
    }
    // It goes on to its end when this is accepted.
    const more = { type: "send", to: address, message: { type: "end", how: "ends", address } };
    return { state: fields.state ?? null, effects: [...fields.effects ?? [], more] } as Next;
  },
  ends: () => DONE,

  "throws an error": () => {
    throw new Error("on purpose");
  },
  "throws null": () => {
    throw null;
  },
  "throws a symbol": () => {
    throw Symbol("on purpose");
  },
  "throws an object that throws": () => {
    throw {
      get message() {
        throw new Error("again");
      },
      toString() {
        throw new Error("again");
      },
    };
  },
  "throws 50 MB": () => {
    throw new Error("x".repeat(50_000_000));
  },
  "overflows the stack": () => {
    const deeper = (): number => deeper() + deeper();
    deeper();
    return DONE;
  },
  "returns nothing": () => undefined as unknown as Next,
  "returns a promise": () => Promise.resolve(DONE) as unknown as Next,
  "returns a circle": () => {
    const state: Record<string, unknown> = {};
    state.self = state;
    return next(state);
  },
  "returns a huge state": () => next("x".repeat(STATE_BYTES_MAX)),
  "returns a state larger than a frame": () => next("x".repeat(FRAME_BYTES_MAX)),
  "returns 65 effects": () =>
    next(null, ...Array.from({ length: 65 }, () => ({ type: "drop_effects" as const }))),
  "returns an effect that there is not": () => next(null, { type: "run", command: "id" } as never),
  "returns an effect with more fields": () =>
    next(null, { type: "drop_effects", address: "other" } as never),
  "returns a timer before now": () =>
    next(null, { type: "after", name: "x", delay_ms: -1, message: { type: "x" } }),
  "starts a subtask by itself": () =>
    next(null, { type: "start_child", agent: "x", purpose: "subtask" as never, instruction: "x" }),
  "ends as something else": () => stop(null, { status: "running" as never, result: null }),
  "ends with a huge result": () => stop(null, { status: "done", result: "x".repeat(200 * 1024) }),

  "sends to another tree": ({ victim }: Go) =>
    next(null, { type: "send", to: victim!, message: { type: "step", left: 1 } }),
  "sends to nobody": () => next(null, { type: "send", to: "nobody", message: { type: "x" } }),

  "posts a number": () => {
    self.postMessage(7);
    return DONE;
  },
  "posts its memory": () => {
    self.postMessage({ memory: new SharedArrayBuffer(8) });
    return DONE;
  },
  "answers another's envelope": ({ victim }: Go) => {
    self.postMessage(answer(victim!, "forged"));
    return DONE;
  },
  "posts what is no JSON": () => {
    self.postMessage("{");
    return DONE;
  },
  "posts a text larger than a frame": () => {
    self.postMessage("x".repeat(FRAME_BYTES_MAX + 1));
    return DONE;
  },
  "says a million times that it is there": () => {
    for (let i = 0; i < 1_000_000; i++) self.postMessage(null);
    return DONE;
  },
  "posts texts without end": () => {
    const text = "x".repeat(10_000);
    for (;;) self.postMessage(text);
  },

  "closes its worker": () => {
    self.close();
    return DONE;
  },
  "ends its process": () => {
    Deno.exit(0);
  },
  "ends its process through node": () => {
    (globalThis as unknown as { process: { exit(code: number): never } }).process.exit(1);
  },
  "kills its process": () => {
    Deno.kill(Deno.pid, "SIGKILL");
    return DONE;
  },
  "signals another process": () => {
    // Nothing happens by this one, if it is allowed.
    Deno.kill(Deno.ppid, "SIGCONT");
    return DONE;
  },
  "reads a file": () =>
    stop(null, { status: "done", result: Deno.readTextFileSync("/etc/passwd") }),
  "reads its memory through /proc": () =>
    stop(null, { status: "done", result: Deno.readTextFileSync("/proc/self/environ") }),
  "reads the environment": () =>
    stop(null, { status: "done", result: JSON.stringify(Deno.env.toObject()) }),
  "starts a process": () => {
    new Deno.Command("/usr/bin/id").outputSync();
    return DONE;
  },
  "starts a worker with more rights": () => {
    const options = { type: "module", deno: { permissions: { read: true } } };
    new Worker("data:text/javascript,", options as WorkerOptions);
    return DONE;
  },

  "leaves a timer": ({ address }: Go) => {
    const spin = () => {
      for (;;);
    };
    self.setTimeout(spin, 0);
    self.setInterval(spin, 1);
    queueMicrotask(spin);
    Promise.resolve().then(spin);
    // It is given another turn, and has to be there for it.
    return next(null, {
      type: "after",
      name: "later",
      delay_ms: 300,
      message: { type: "end", how: "ends", address },
    });
  },
  "leaves a spinning worker": () => {
    new Worker("data:text/javascript,for (;;);", { type: "module" });
    return DONE;
  },

  "spins": () => {
    for (;;) if (Math.random() > 1) return DONE;
  },
  "spins in what it returns": () =>
    next({
      toJSON() {
        for (;;);
      },
    }),
  "sleeps for ever": () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    return DONE;
  },
  "allocates without end": () => {
    const kept: Uint8Array[] = [];
    for (;;) kept.push(new Uint8Array(64 * 2 ** 20).fill(1));
  },
  "fills its heap": () => {
    const kept: unknown[] = [];
    for (;;) kept.push(Array.from({ length: 1_000_000 }, (_, i) => ({ i })));
  },
};

export default actor<unknown, Go>({
  kind: "hostile",
  restart: "transient",
  initial: null,
  receive: (_, message) => HOW[message.how](message) as Next,
});
