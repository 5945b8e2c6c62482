/** What the launcher does for its kernel: it hears whether it lives, and keeps its surroundings clean. */
import assert from "node:assert/strict";
import { EXIT } from "../../runtime/core/exit.ts";
import { begin, done, ended } from "../support/api.ts";
import { tempFolder } from "../support/folder.ts";
import { freePort, runLauncher, startTroupe, stopAt, type Troupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";

Deno.test("a kernel that hangs is ended and started anew, and the tree under way ends as it would have", async () => {
  await using troupe = await startTroupe({
    env: { PORT: String(freePort()) },
    args: ["--silence", "5"],
  });
  const instruction = "Work out what a two-day workshop for 24 people costs";
  const tree = await begin(troupe.url, { instruction });
  const pid = await troupe.kernelPid();
  Deno.kill(pid, "SIGSTOP");
  await until("a new kernel", async () => {
    const signal = AbortSignal.timeout(1_000);
    const response = await fetch(`${troupe.url}/ready`, { signal }).catch(() => null);
    await response?.body?.cancel();
    return response?.ok && await troupe.kernelPid() !== pid;
  });
  assert.match(troupe.log(), /The kernel gave no sign of life for \d s: ending it/);
  assert.equal((await ended(troupe.url, tree)).result, "The workshop costs 2420 euros");
});

Deno.test("a silence that is none is refused with how to say it", async () => {
  for (const args of [["--silence", "soon"], ["--silence", "1"], ["--loud", "5"]]) {
    const { code, stderr } = await runLauncher(["start", ...args], {}, 8_000);
    assert.equal(code, EXIT.config, stderr);
    assert.match(stderr, /--silence SECONDS/);
  }
});

Deno.test("a start in an environment that tells the loader what to load works, down to the tools", async () => {
  await using troupe = await startTroupe({
    env: { LD_LIBRARY_PATH: "/usr/lib", LD_PRELOAD: "", PORT: String(freePort()) },
  });
  const tree = await done(troupe.url, { instruction: "Compute 17 * 23 + 4" });
  assert.equal(tree.result, "395");
  assert.doesNotMatch(troupe.log(), /died|LD_| {4}at /);
  // With it the kernel could start no `kill` and see no cell's memory.
  assert.doesNotMatch(await environmentOf(troupe), /LD_/);
});

Deno.test("a kernel gets nothing of its surroundings that it does not need", async () => {
  await using troupe = await startTroupe({ env: { SOMEBODYS_SECRET: "hunter2" } });
  const environment = await environmentOf(troupe);
  assert.match(environment, /(^|\0)DATA_DIR=/);
  assert.doesNotMatch(environment, /SOMEBODYS_SECRET/);
});

async function environmentOf(troupe: Troupe): Promise<string> {
  const path = `/proc/${await troupe.kernelPid()}/environ`;
  const { stdout } = await new Deno.Command("cat", { args: [path] }).output();
  return new TextDecoder().decode(stdout);
}

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

Deno.test("a run whose kernel is killed says so in one sentence", async () => {
  await using folder = await tempFolder();
  await using model = silentModel(async () => {
    const { pid } = JSON.parse(await Deno.readTextFile(`${folder.path}/holder.json`));
    Deno.kill(pid, "SIGKILL");
  });
  const { code, stderr } = await runLauncher(["run", "Write a poem about the sea"], {
    DATA_DIR: folder.path,
    ANTHROPIC_BASE_URL: model.url,
  });
  assert.equal(code, EXIT.failed, stderr);
  assert.match(stderr, /^The kernel died \(signal SIGKILL\): what was begun goes on/m);
  assert.doesNotMatch(stderr, / {4}at |Uncaught/);
});

/** Takes each connection and never answers. */
function silentModel(
  onConnection: () => Promise<void> = () => Promise.resolve(),
): { readonly url: string } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const listening = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      await onConnection();
    }
  })();
  return {
    url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      await listening;
      for (const connection of connections) connection.close();
    },
  };
}
