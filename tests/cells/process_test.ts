/** Who may be a cell: the process that the kernel has just started, and no other that knows its socket. */
import assert from "node:assert/strict";
import { CellProcess } from "../../runtime/confined/process.ts";
import type { Confined } from "../../runtime/confined/sandbox.ts";
import { NONCE } from "../../runtime/confined/wire.ts";
import {
  CELL_LIMITS,
  CELL_START_MS,
  CREDIT_EVERY_MS,
  CREDIT_FRAMES,
} from "../../runtime/core/limits.ts";
import { systemClock } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";
import { tempFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

const LAYERS = { bwrap: false, prlimit: false };

/** Names its nonce as soon as the file `go` is there, and after it whatever it was told to say. */
const LATECOMER = `
  import { FrameWriter, readFrames } from "${
  import.meta.resolve("../../runtime/confined/wire.ts")
}";
  const [socket, go, said] = Deno.args;
  while (!await Deno.stat(go).catch(() => null)) await new Promise((r) => setTimeout(r, 20));
  const connection = await Deno.connect({ transport: "unix", path: socket });
  const out = new FrameWriter(connection, () => Deno.exit(1));
  out.write(0, Deno.env.get("${NONCE}"));
  out.write(7, said);
  await readFrames(connection, () => {});
`;

/** A process that is about to be opened in a folder of its own, and how it is let go. */
async function latecomer(folder: string) {
  await Deno.writeTextFile(`${folder}/latecomer.ts`, LATECOMER);
  const socket = `${folder}/0.sock`;
  const program: Confined = {
    program: Deno.execPath(),
    args: ["run", "-A", "--no-check", `${folder}/latecomer.ts`, socket, `${folder}/go`, "mine"],
    env: { NO_COLOR: "1", DENO_DIR: Deno.env.get("DENO_DIR") ?? `${folder}/deno` },
    read: [],
    write: [],
    network: false,
    folder,
    limits: CELL_LIMITS,
  };
  return { socket, program, go: () => Deno.writeTextFile(`${folder}/go`, "") };
}

/** What a cell's process hears of a caller whom the kernel did not start. */
async function caller(socket: string): Promise<Deno.UnixConn> {
  return await until(
    "the socket",
    () => Deno.connect({ transport: "unix", path: socket }).catch(() => null),
  );
}

async function turnedAway(stranger: Deno.UnixConn): Promise<void> {
  await until("the end of the connection", async () => {
    return await stranger.read(new Uint8Array(1)).catch(() => null) === null;
  });
  stranger.close();
}

function frame(worker: number, text: string): Uint8Array {
  const body = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  new DataView(bytes.buffer).setUint32(4, worker);
  bytes.set(body, 8);
  return bytes;
}

Deno.test("a cell that a former kernel left behind is turned away, and the right one is taken", async () => {
  await using folder = await tempFolder();
  const { socket, program, go } = await latecomer(folder.path);
  const cell = new CellProcess("cell-1", systemClock);
  const heard: [number, string][] = [];
  cell.onFrame = (worker, body) => heard.push([worker, new TextDecoder().decode(body)]);
  const opening = cell.open(program, LAYERS, socket);
  await until("the socket", () => Deno.stat(socket).catch(() => null));
  const leftover = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program.args[3], socket, program.args[3], "another's"],
    env: { [NONCE]: crypto.randomUUID() },
    stdout: "null",
    stderr: "null",
  }).spawn();
  let left = false;
  leftover.status.then(() => left = true);
  await until("its giving up", () => left).finally(() => left || leftover.kill("SIGKILL"));
  await go();
  await opening;
  await until("its first frame", () => heard.length > 0);
  assert.deepEqual(heard, [[7, "mine"]]);
  await cell.stop();
});

for (
  const [what, said] of [
    ["names another's nonce", frame(0, crypto.randomUUID())],
    ["begins with a report", frame(0, `{"t":"beat","workers":[]}`)],
    ["speaks as a worker", frame(1, crypto.randomUUID())],
    ["begins with a head that has no end", new Uint8Array(8).fill(255)],
  ] as [string, Uint8Array][]
) {
  Deno.test(`a caller that ${what} is turned away at once`, async () => {
    await using folder = await tempFolder();
    const { socket, program, go } = await latecomer(folder.path);
    const cell = new CellProcess("cell-1", systemClock);
    const opening = cell.open(program, LAYERS, socket);
    const stranger = await caller(socket);
    await stranger.write(said);
    await turnedAway(stranger);
    await go();
    await opening;
    await cell.stop();
  });
}

Deno.test("a caller that says nothing keeps nobody waiting, and is turned away in the end", async () => {
  await using folder = await tempFolder();
  const { socket, program, go } = await latecomer(folder.path);
  const cell = new CellProcess("cell-1", systemClock);
  const opening = cell.open(program, LAYERS, socket);
  const stranger = await caller(socket);
  await go();
  await opening;
  await turnedAway(stranger);
  await cell.stop();
});

Deno.test("a process whose callers are all strangers is ended when its time to connect is over", async () => {
  await using folder = await tempFolder();
  const { socket, program } = await latecomer(folder.path);
  const clock = new HandClock();
  const cell = new CellProcess("cell-1", clock);
  const opening = cell.open(program, LAYERS, socket);
  const stranger = await caller(socket);
  clock.advance(CELL_START_MS);
  await assert.rejects(opening, /cell-1 did not connect within 15000 ms/);
  await turnedAway(stranger);
  await until("the end of its process", async () => {
    clock.advance(1_000);
    return await Promise.race([cell.gone, new Promise((resolve) => setTimeout(resolve, 20))]);
  });
});

Deno.test("a process that floods is read so far in each period, and no further before the next", async () => {
  await using folder = await tempFolder();
  const { socket, program, go } = await latecomer(folder.path);
  const frames = 10 * CREDIT_FRAMES;
  await Deno.writeTextFile(
    `${folder.path}/latecomer.ts`,
    LATECOMER.replace(
      "out.write(7, said)",
      `for (let n = 0; n < ${frames}; n++) out.write(7, said)`,
    ),
  );
  const clock = new HandClock();
  const cell = new CellProcess("cell-1", clock);
  let heard = 0;
  cell.onFrame = () => heard++;
  // Only a few of these fit into what is read at a time.
  const opening = cell.open(
    { ...program, args: [...program.args.slice(0, -1), "x".repeat(10_000)] },
    LAYERS,
    socket,
  );
  await go();
  await opening;
  const paused = () => until("its credit is used up", () => clock.waits.includes(CREDIT_EVERY_MS));
  await paused();
  assert.ok(heard >= CREDIT_FRAMES && heard < 2 * CREDIT_FRAMES, `${heard} frames at first`);
  const first = heard;
  clock.advance(CREDIT_EVERY_MS);
  await paused();
  assert.ok(heard - first >= CREDIT_FRAMES && heard - first < 2 * CREDIT_FRAMES);
  await until("every frame", () => {
    clock.advance(CREDIT_EVERY_MS);
    return heard === frames;
  });
  cell.kill("done");
});
