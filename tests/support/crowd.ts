/** The story of a crowd of viewers in front of a Troupe that has few descriptors. */
import assert from "node:assert/strict";
import { followLines } from "../../deploy/lines.ts";
import { begin, ended } from "./api.ts";
import { CODE, freePort, startTroupe } from "./troupe.ts";
import { until } from "./until.ts";

interface Count {
  readonly watching: number;
  readonly turned_away: number;
  readonly without_hint: number;
  readonly failed: number;
}

/**
 * More viewers come than there are descriptors. The kernel must stay the same one, work on, show its
 * pages to as many as have a place, and turn the others away in words.
 */
export async function crowd(
  { viewers, descriptors, places }: { viewers: number; descriptors: number; places: number },
): Promise<void> {
  await using troupe = await startTroupe({
    env: { PORT: String(freePort()) },
    around: ["prlimit", `--nofile=${descriptors}`],
  });
  const pid = await troupe.kernelPid();
  const crowd = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-net",
      `${CODE}tests/support/viewers.ts`,
      `${troupe.url}/stream`,
      String(viewers),
    ],
    stdout: "piped",
  }).spawn();
  let count: Count = { watching: 0, turned_away: 0, without_hint: 0, failed: 0 };
  const counting = followLines(crowd.stdout, (line) => count = JSON.parse(line));
  try {
    const full = () => count.watching === places && count.turned_away > 0;
    await until("a crowd in every place", full, 60_000);
    const before = count.turned_away;
    await until("more who come back", () => count.turned_away > before + 50, 60_000);
    assert.equal(count.watching, places, troupe.log());
    assert.equal(count.without_hint, 0, "each is told when to come back");
  } finally {
    crowd.kill("SIGKILL");
    await Promise.all([crowd.status, counting]);
  }
  const instruction = "Compute 17 * 23 + 4";
  const id = await until(
    "a task that is taken",
    () => begin(troupe.url, { instruction }).catch(() => null),
  );
  assert.equal((await ended(troupe.url, id)).result, "395", troupe.log());
  assert.equal(await troupe.kernelPid(), pid, `it is another kernel: ${troupe.log()}`);
  assert.doesNotMatch(troupe.log(), /The kernel died| {4}at /);
}
