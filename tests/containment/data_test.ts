/** What tools and actors hand to the kernel: keys that reach for prototypes, and answers that are none. */
import assert from "node:assert/strict";
import { rows } from "../support/long.ts";
import { arena, assertFailed, type Ended, PATIENT_MS } from "./harness.ts";

const field = await arena(
  { hostile: import.meta.resolve("../support/actors/hostile.ts") },
  PATIENT_MS,
);
// What Deno itself loads late is there before any look.
await field.attack("export default () => 0");
Deno.test.afterAll(async () => await field[Symbol.asyncDispose]());

/** Every property of the prototypes that all of the kernel's values have. */
function prototypes(): unknown {
  const all = [Object, Array, Function, String, Number, Boolean, Promise, Map, Set, Error]
    .map(({ prototype }) => prototype as unknown as object);
  return [...all, Object.getPrototypeOf(Uint8Array.prototype)]
    .map((one) => Object.entries(Object.getOwnPropertyDescriptors(one)));
}

async function unchanged(name: string, run: () => Promise<void>): Promise<void> {
  const before = prototypes();
  await run();
  assert.deepEqual(prototypes(), before, name);
  for (const one of [{}, [], globalThis, () => {}]) assert.ok(!("polluted" in one), name);
}

/** JSON with keys that an assignment would follow to a prototype. */
const HOSTILE_JSON = [
  `{"__proto__":{"polluted":true,"ok":true}}`,
  `{"constructor":{"prototype":{"polluted":true}}}`,
  `{"prototype":{"polluted":true},"constructor":null,"toString":1,"valueOf":{},"hasOwnProperty":0}`,
  `[{"__proto__":[{"__proto__":{"polluted":true}}]}]`,
  `{"then":{"__proto__":{"polluted":true}},"toJSON":{"polluted":true}}`,
  `{"__defineGetter__":1,"__lookupSetter__":2,"length":-1,"__proto__":null}`,
];

for (const json of rows(HOSTILE_JSON)) {
  Deno.test(`a tool whose result is ${json} changes no prototype`, async () => {
    await unchanged(json, async () => {
      const outcome = await field.attack(
        `export default () => JSON.parse(${JSON.stringify(json)});`,
      );
      assert.ok(outcome.ok, JSON.stringify(outcome));
      assert.equal(JSON.stringify(outcome.value), json, "it is what was reported, key for key");
      const { value } = outcome;
      const expected = Array.isArray(value) ? Array.prototype : Object.prototype;
      assert.equal(Object.getPrototypeOf(value), expected);
    });
  });
}

Deno.test("a tool that reports itself with a prototype is not believed", async () => {
  const reports = [
    `{"ok":true,"value":1,"__proto__":{"log":"forged"}}`,
    `{"__proto__":{"ok":true,"value":"inherited"}}`,
    `{"ok":false,"error":"x","constructor":{"prototype":{"polluted":true}}}`,
  ];
  for (const report of rows(reports)) {
    await unchanged(report, async () => {
      const outcome = await field.attack(`
        import net from "node:net";
        import { Buffer } from "node:buffer";
        const body = Buffer.from(${JSON.stringify(report)});
        const head = Buffer.alloc(8);
        head.writeUInt32BE(body.length, 0);
        export default async () => {
          for (let fd = 3; fd < 64; fd++) {
            try {
              const socket = new net.Socket({ fd, readable: true, writable: true });
              socket.on("error", () => {});
              await new Promise((resolve) => {
                socket.write(Buffer.concat([head, body]), resolve);
                setTimeout(resolve, 20);
              });
            } catch {}
          }
          await new Promise((resolve) => setTimeout(resolve, 500));
          return "late";
        };`);
      assert.ok(!outcome.ok && /something that is no report/.test(outcome.error), report);
    });
  }
});

Deno.test("a tool that changes the prototypes of its own process reports as any other", async () => {
  await unchanged("own", async () => {
    const outcome = await field.attack(`
      Object.prototype.polluted = true;
      Object.prototype.toJSON = function () { return { ok: true, value: "forged", polluted: true } };
      Array.prototype.push = () => { throw new Error("no"); };
      Object.defineProperty(Object.prototype, "value", { get: () => "inherited" });
      export default () => ({});`);
    if (outcome.ok) {
      assert.equal((outcome as unknown as Record<string, unknown>).polluted, undefined);
    }
  });
});

/** What a hostile actor answers, as JSON, that is an answer like any. */
const TAKEN: Record<string, string> = {
  "a note with a prototype":
    `{"effects":[{"type":"note","message":{"type":"x","__proto__":{"polluted":true}}}]}`,
  "a note of a type named __proto__":
    `{"effects":[{"type":"note","message":{"type":"__proto__","constructor":{"prototype":{}}}}]}`,
  "a timer named __proto__":
    `{"effects":[{"type":"after","name":"__proto__","delay_ms":60000,"message":{"type":"x"}}]}`,
  "a state with a prototype":
    `{"state":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":1}}}}`,
};

/** What it answers, and why it is refused. */
const REFUSED: Record<string, [json: string, reason: RegExp]> = {
  "an effect named __proto__": [`{"effects":[{"type":"__proto__"}]}`, /breaks the schema/],
  "an effect named constructor": [`{"effects":[{"type":"constructor"}]}`, /breaks the schema/],
  "an effect whose type is inherited": [
    `{"effects":[{"__proto__":{"type":"drop_effects"}}]}`,
    /breaks the schema/,
  ],
  "effects that are no list": [`{"effects":{"__proto__":[],"length":1}}`, /breaks the schema/],
  "an ending with a prototype": [
    `{"ending":{"status":"done","result":"x","__proto__":{"status":"cancelled"}}}`,
    /breaks the schema/,
  ],
  "an ending whose status is inherited": [
    `{"ending":{"__proto__":{"status":"done","result":"x"}}}`,
    /breaks the schema/,
  ],
  "a message to __proto__": [
    `{"effects":[{"type":"send","to":"__proto__","message":{"type":"x"}}]}`,
    /could not be settled/,
  ],
};

for (const [what, json] of rows(Object.entries(TAKEN))) {
  Deno.test(`an actor that answers with ${what} changes no prototype`, async () => {
    await unchanged(what, async () => {
      const ended = await field.attackAs("hostile", { how: "answers", json });
      assert.deepEqual(ended, { status: "done", result: "answered", reason: null });
    });
  });
}

for (const [what, [json, reason]] of rows(Object.entries(REFUSED))) {
  Deno.test(`an actor that answers with ${what} changes no prototype`, async () => {
    await unchanged(what, async () => {
      const ended = await field.attackAs("hostile", { how: "answers", json });
      assert.equal(ended.status, "failed");
      assert.match(ended.reason!, /^Failed 3 times at go: /);
      assert.match(ended.reason!, reason);
    });
  });
}

const BREAKS = /its answer breaks the schema/;
const FAILING: Record<string, RegExp> = {
  "throws an error": /on purpose/,
  "throws null": /null/,
  "throws a symbol": /Symbol/,
  "throws an object that throws": /./,
  "overflows the stack": /call stack/,
  "returns nothing": /undefined/,
  "returns a promise": BREAKS,
  "returns a circle": /circular/,
  "returns a huge state": BREAKS,
  "returns a state larger than a frame": /over the limit/,
  "returns 65 effects": BREAKS,
  "returns an effect that there is not": BREAKS,
  "returns an effect with more fields": BREAKS,
  "returns a timer before now": BREAKS,
  "starts a subtask by itself": BREAKS,
  "ends as something else": BREAKS,
  "ends with a huge result": BREAKS,
  "sends to nobody": /could not be settled/,
  "posts a number": /something else than text/,
  "posts its memory": /something else than text/,
  "posts what is no JSON": BREAKS,
  "posts a text larger than a frame": /over the limit/,
  "signals another process": /Requires run access/,
  "reads a file": /Requires read access/,
  "reads its memory through /proc": /Requires (read|all) access/,
  "reads the environment": /Requires env access/,
  "starts a process": /Requires run access/,
  "starts a worker with more rights": /permissions/,
};

/** A few side by side, all at the first one's turn: most of each is the pause between attempts. */
let failing: Promise<Map<string, Ended>> | undefined;

async function attackAll(): Promise<Map<string, Ended>> {
  const ended = new Map<string, Ended>();
  const left = [...rows(Object.keys(FAILING))];
  const attack = async () => {
    for (let how = left.shift(); how; how = left.shift()) {
      ended.set(how, await field.attackAs("hostile", { how }));
    }
  };
  await Promise.all([attack(), attack(), attack(), attack()]);
  return ended;
}

for (const [how, reason] of rows(Object.entries(FAILING))) {
  Deno.test(`an actor that ${how} fails after three attempts`, async () => {
    assertFailed((await (failing ??= attackAll())).get(how)!, reason);
  });
}
