/** What the kernel starts beside cells: the programs that look at processes, and those that end them. */
import assert from "node:assert/strict";
import { usageOf } from "../../runtime/confined/usage.ts";
import { until } from "../support/until.ts";

/** With no more rights than a kernel has: it may run these few programs. */
const KERNEL = `
  import { runConfined } from "${import.meta.resolve("../../runtime/confined/sandbox.ts")}";
  import { usageOf } from "${import.meta.resolve("../../runtime/confined/usage.ts")}";
  import { TERMINAL_LIMITS } from "${import.meta.resolve("../../runtime/core/limits.ts")}";
  const program = {
    program: "sh",
    args: ["-c", "sleep 1000 & echo started"],
    env: { PATH: Deno.env.get("PATH") },
    ...{ read: [], write: [], network: false, folder: "/", limits: TERMINAL_LIMITS },
  };
  const nobody = new AbortController().signal;
  const layers = { bwrap: false, prlimit: false };
  // Its end is the end of everything that it started: until then its output is open.
  const ran = await runConfined(program, layers, { deadline_ms: 20_000, signal: nobody });
  const usage = await usageOf([Deno.pid]);
  console.log(JSON.stringify({ ...ran, seen: usage.get(Deno.pid)?.bytes > 0 }));
`;

Deno.test("a loader's variable in the kernel's environment hinders it from neither looking nor killing", async () => {
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      "--allow-read",
      "--allow-env=PATH",
      "--allow-run=sh,cat,kill",
      `data:application/typescript,${encodeURIComponent(KERNEL)}`,
    ],
    env: { LD_LIBRARY_PATH: "/nowhere" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let ended = false;
  const output = process.output().finally(() => ended = true);
  await until("its end", () => ended).finally(() => ended || process.kill("SIGKILL"));
  const { stdout, stderr } = await output;
  assert.equal(new TextDecoder().decode(stderr), "");
  const { code, output: said, stopped, seen } = JSON.parse(new TextDecoder().decode(stdout));
  assert.deepEqual({ code, said, stopped, seen }, {
    code: 0,
    said: "started\n",
    stopped: null,
    seen: true,
  });
});

Deno.test("one look sees several processes, and those that are left when one of them has gone", async () => {
  const gone = new Deno.Command("true").spawn();
  await gone.status;
  await using other = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  const both = await usageOf([Deno.pid, other.pid]);
  assert.deepEqual([...both.keys()], [Deno.pid, other.pid]);
  assert.ok(both.get(Deno.pid)!.cpu_ms >= both.get(other.pid)!.cpu_ms);
  const left = await usageOf([Deno.pid, gone.pid, other.pid]);
  assert.deepEqual([...left.keys()], [Deno.pid, other.pid]);
  for (const { cpu_ms, ran_ms, waited_ms, bytes } of left.values()) {
    assert.ok([cpu_ms, ran_ms, waited_ms, bytes].every(Number.isFinite));
    assert.ok(bytes > 2 ** 16);
  }
  assert.deepEqual(await usageOf([gone.pid]), new Map());
  assert.deepEqual(await usageOf([]), new Map());
});
