/** What the launcher does for its kernel: it hears whether it lives, starts it again, and ends with it. */
import assert from "node:assert/strict";
import { EXIT } from "../../runtime/core/exit.ts";
import { begin, ended, getJson, type WholeTree } from "../support/api.ts";
import { tempFolder } from "../support/folder.ts";
import { silentModel } from "../support/silent_model.ts";
import { freePort, runLauncher, startTroupe, stopAt, type Troupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";

/** One launcher for all who do away with its kernel; the new kernel has to come back on the first one's port. */
let troupe: Troupe;
Deno.test.beforeAll(async () => {
  troupe = await startTroupe({ env: { PORT: String(freePort()) }, args: ["--silence", "5"] });
});
Deno.test.afterAll(async () => void await troupe.stop());

/** Has the kernel signalled while a tree is under way; there must be another then, which ends the tree. */
async function outlived(signal: Deno.Signal): Promise<void> {
  const { url } = troupe;
  const instruction = "Compute 1 + 1, then compute 2 + 2";
  const tree = await begin(url, { instruction, after_task: "none" });
  const subtasks = async () => (await getJson<WholeTree>(`${url}/api/trees/${tree}`)).tasks.length;
  await until("a tree under way", async () => await subtasks() > 1);
  const pid = await troupe.kernelPid();
  Deno.kill(pid, signal);
  await until("a new kernel", async () => {
    const signal = AbortSignal.timeout(1_000);
    const response = await fetch(`${url}/ready`, { signal }).catch(() => null);
    await response?.body?.cancel();
    return response?.ok && await troupe.kernelPid() !== pid;
  });
  assert.equal((await ended(url, tree)).result, "Compute 1 + 1: 2\ncompute 2 + 2: 4");
}

Deno.test("a launcher starts a killed kernel again, and the tree under way ends as it would have", async () => {
  await outlived("SIGKILL");
});

Deno.test("a kernel that hangs is ended and started anew, and the tree under way ends as it would have", async () => {
  await outlived("SIGSTOP");
  assert.match(troupe.log(), /The kernel gave no sign of life for \d s: ending it/);
});

Deno.test("a silence that is none is refused with how to say it", async () => {
  for (const args of [["--silence", "soon"], ["--silence", "1"], ["--loud", "5"]]) {
    const { code, stderr } = await runLauncher(["start", ...args], {}, 8_000);
    assert.equal(code, EXIT.config, stderr);
    assert.match(stderr, /--silence SECONDS/);
  }
});

Deno.test("a run that is stopped while its model waits says so in one sentence", async () => {
  await using folder = await tempFolder();
  await using model = silentModel();
  const { code, stdout, stderr } = await stopAt(/began: /, ["run", "Write a poem about the sea"], {
    DATA_DIR: folder.path,
    ANTHROPIC_BASE_URL: model.url,
  });
  assert.equal(code, EXIT.failed, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /^Stopped: what was begun goes on at the next start$/m);
  assert.doesNotMatch(stderr, / {4}at |Uncaught/);
});
