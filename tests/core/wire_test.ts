import assert from "node:assert/strict";
import { fromCell } from "../../runtime/frames.ts";
import { FRAME_BYTES_MAX } from "../../runtime/core/limits.ts";
import { FrameWriter, readFrames, WireError } from "../../runtime/wire.ts";
import { until } from "../support/until.ts";

const FRAMES = [{ t: "beat", workers: [1, 2] }, "ünï😀", [], null, { text: "\n\u0000" }];

const source = (...chunks: Uint8Array[]) => ReadableStream.from(chunks);

const all = (...chunks: Uint8Array[]) => Array.fromAsync(readFrames(source(...chunks)));

function framed(body: Uint8Array, length = body.length): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, length);
  bytes.set(body, 4);
  return bytes;
}

/** What the writer puts on the wire for some frames, in as many writes as it makes. */
async function written(frames: readonly unknown[], most = Infinity): Promise<Uint8Array[]> {
  const writes: Uint8Array[] = [];
  const expected = frames.reduce<number>(
    (sum, frame) => sum + 4 + new TextEncoder().encode(JSON.stringify(frame)).length,
    0,
  );
  const writer = new FrameWriter({
    write(bytes) {
      const taken = bytes.slice(0, most);
      writes.push(taken);
      return Promise.resolve(taken.length);
    },
  }, (error) => assert.fail(error));
  for (const frame of frames) writer.write(frame);
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
  const text = "x".repeat(FRAME_BYTES_MAX - 2);
  const [frame] = await all(framed(new TextEncoder().encode(JSON.stringify(text))));
  assert.equal(frame, text);
});

Deno.test("the writer refuses a frame over the limit", () => {
  const writer = new FrameWriter({ write: () => assert.fail("written") }, () => {});
  assert.throws(() => writer.write("x".repeat(FRAME_BYTES_MAX)), WireError);
});

Deno.test("a frame that is not JSON is refused", async () => {
  for (const text of ["", "{", "undefined", "{} {}"]) {
    await assert.rejects(all(framed(new TextEncoder().encode(text))), WireError);
  }
});

Deno.test("a frame that is not UTF-8 is refused", async () => {
  await assert.rejects(all(framed(new Uint8Array([0x22, 0xff, 0xfe, 0x22]))), WireError);
});

Deno.test("a stream that ends in the middle of a frame yields the whole ones before it", async () => {
  const bytes = joined(await written(["a", "b"]));
  assert.deepEqual(await all(bytes.slice(0, bytes.length - 1)), ["a"]);
});

const step = { t: "next", worker: 1, envelope: "e", state: "{}", effects: [] };

Deno.test("a step with known fields fits the schema of a cell's frames", () => {
  assert.ok(fromCell.safeParse(step).success);
});

for (
  const [what, frame] of [
    ["an unknown type", { ...step, t: "root" }],
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
  Deno.test(`a frame of a cell with ${what} is refused`, () => {
    assert.ok(!fromCell.safeParse(frame).success);
  });
}
