import assert from "node:assert/strict";
import { fromCell, fromWorker } from "../../runtime/cells/frames.ts";
import { FRAME_BYTES_MAX } from "../../runtime/core/limits.ts";
import { FrameWriter, readFrames, WireError } from "../../runtime/confined/wire.ts";
import { until } from "../support/until.ts";

type Frame = readonly [worker: number, body: string];

const FRAMES: Frame[] = [[0, "ünï😀"], [1, ""], [2 ** 32 - 1, "\n\u0000"], [7, "{}"]];

/** A connection that yields some chunks, as far as the reader has room for them. */
function source(...chunks: Uint8Array[]) {
  return {
    read(into: Uint8Array): Promise<number | null> {
      const chunk = chunks.shift();
      if (!chunk) return Promise.resolve(null);
      const taken = chunk.subarray(0, into.length);
      into.set(taken);
      if (taken.length < chunk.length) chunks.unshift(chunk.subarray(taken.length));
      return Promise.resolve(taken.length);
    },
  };
}

async function all(...chunks: Uint8Array[]): Promise<Frame[]> {
  const frames: Frame[] = [];
  const decoder = new TextDecoder();
  await readFrames(source(...chunks), (worker, body) => {
    frames.push([worker, decoder.decode(body)]);
  });
  return frames;
}

function framed(body: Uint8Array, length = body.length): Uint8Array {
  const bytes = new Uint8Array(8 + body.length);
  new DataView(bytes.buffer).setUint32(0, length);
  bytes.set(body, 8);
  return bytes;
}

/** What the writer puts on the wire for some frames, in as many writes as it makes. */
async function written(frames: readonly Frame[], most = Infinity): Promise<Uint8Array[]> {
  const writes: Uint8Array[] = [];
  const expected = frames.reduce(
    (sum, [, body]) => sum + 8 + new TextEncoder().encode(body).length,
    0,
  );
  const writer = new FrameWriter({
    write(bytes) {
      const taken = bytes.slice(0, most);
      writes.push(taken);
      return Promise.resolve(taken.length);
    },
  }, (error) => assert.fail(String(error)));
  for (const frame of frames) writer.write(...frame);
  await until("all bytes", () => writes.reduce((sum, { length }) => sum + length, 0) === expected);
  return writes;
}

const joined = (chunks: Uint8Array[]) => new Uint8Array(chunks.flatMap((chunk) => [...chunk]));

Deno.test("frames arrive as they were written when the stream is cut at any byte", async () => {
  const bytes = joined(await written(FRAMES));
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(await all(bytes.slice(0, cut), bytes.slice(cut)), FRAMES, `cut at ${cut}`);
  }
});

Deno.test("frames arrive as they were written when each byte comes alone", async () => {
  const bytes = joined(await written(FRAMES));
  assert.deepEqual(await all(...[...bytes].map((byte) => new Uint8Array([byte]))), FRAMES);
});

Deno.test("all frames of one turn leave in one write and are read out of one chunk", async () => {
  const writes = await written(FRAMES);
  assert.equal(writes.length, 1);
  assert.deepEqual(await all(...writes), FRAMES);
});

Deno.test("a connection that takes a few bytes at a time gets every byte in order", async () => {
  assert.deepEqual(await all(...await written(FRAMES, 3)), FRAMES);
});

Deno.test("a frame over the limit is refused by its head alone, before its body is there", async () => {
  const head = framed(new Uint8Array(0), FRAME_BYTES_MAX + 1);
  await assert.rejects(
    all(head),
    (error) => error instanceof WireError && /over the limit/.test(error.message),
  );
});

Deno.test("a frame at the limit is read", async () => {
  const text = "x".repeat(FRAME_BYTES_MAX);
  const [[, body]] = await all(framed(new TextEncoder().encode(text)));
  assert.equal(body, text);
});

Deno.test("the writer refuses a frame over the limit", () => {
  const writer = new FrameWriter({ write: () => assert.fail("written") }, () => {});
  assert.throws(() => writer.write(1, "x".repeat(FRAME_BYTES_MAX + 1)), WireError);
});

Deno.test("a stream that ends in the middle of a frame yields the whole ones before it", async () => {
  const bytes = joined(await written([[1, "a"], [2, "b"]]));
  assert.deepEqual(await all(bytes.slice(0, bytes.length - 1)), [[1, "a"]]);
});

const step = { envelope: "e", state: "{}", effects: [] };

Deno.test("a step with known fields fits the schema of a worker's answers", () => {
  assert.ok(fromWorker.safeParse(step).success);
});

for (
  const [what, frame] of [
    ["no effects", { ...step, effects: undefined }],
    ["a field too many", { ...step, owner: "me" }],
    ["an unknown effect", { ...step, effects: [{ type: "shell", command: "id" }] }],
    ["a child that an agent may not start", {
      ...step,
      effects: [{ type: "start_child", agent: "a", purpose: "supervision", instruction: "x" }],
    }],
    ["more effects than one step may ask for", {
      ...step,
      effects: Array.from({ length: 65 }, () => ({ type: "drop_effects" })),
    }],
    ["a timer in the past", {
      ...step,
      effects: [{ type: "after", name: "a", delay_ms: -1, message: { type: "x" } }],
    }],
    ["an ending that is none", { ...step, ending: { status: "running", result: null } }],
  ] as [string, unknown][]
) {
  Deno.test(`an answer of a worker with ${what} is refused`, () => {
    assert.ok(!fromWorker.safeParse(frame).success);
  });
}

Deno.test("a report of a cell fits its schema, and none of an unknown type does", () => {
  assert.ok(fromCell.safeParse({ t: "beat", workers: [1, 2] }).success);
  assert.ok(fromCell.safeParse({ t: "failed", worker: 1, reason: "it threw" }).success);
  assert.ok(!fromCell.safeParse({ t: "root", workers: [] }).success);
  assert.ok(!fromCell.safeParse({ t: "beat", workers: ["1"] }).success);
});
