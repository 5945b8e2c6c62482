/** The terminal: what a command reaches, what a person allows, how it ends. */
import assert from "node:assert/strict";
import {
  begin,
  calls,
  decide,
  end,
  finished,
  question,
  run,
  startAgents,
} from "../support/agents.ts";
import { tempFolder } from "../support/folder.ts";
import { oneKernel } from "../support/one_kernel.ts";
import { until } from "../support/until.ts";

const { together, folder } = await oneKernel(startAgents);

const command = (command: string) => calls(["use_terminal", { command }]);

together("a command runs in the workspace, sees nothing outside, and has no network", {
  "look around": [
    calls(["attach_tool", { name: "use_terminal" }]),
    command("echo hello > a.txt; cat a.txt; echo problem >&2; exit 3"),
    command(`ls ${folder} /root /home; cat /etc/passwd; ls /proc | grep -c '^[0-9]'`),
    command("cat < /dev/tcp/127.0.0.1/1 || echo no network; ip link 2>/dev/null | wc -l"),
    command("printf 'red \\033[31mtext\\a'"),
    end,
  ],
}, async (kernel) => {
  const [, first, outside, network, escapes] = await run(kernel, "look around");
  assert.match(first.content, /^Exit code 3\nhello\nproblem\n$/);
  assert.equal(first.is_error, true);
  assert.ok(!/root:|lost\+found|troupe\.db/.test(outside.content), outside.content);
  assert.match(network.content, /no network/);
  assert.equal(escapes.content, "Exit code 0\nred text");
});

const sleepersEnd = (command: string) =>
  until("the end of the sleepers", async () => {
    const { stdout } = await new Deno.Command("ps", { args: ["-e", "-o", "args="] }).output();
    return !new TextDecoder().decode(stdout).includes(command);
  }, 5_000);

together("a command that runs too long is ended with all that it started", {
  sleep: [
    calls(["attach_tool", { name: "use_terminal" }]),
    calls(["use_terminal", { command: "sleep 61.7 & sleep 61.7", timeout_seconds: 1 }]),
    end,
  ],
}, async (kernel) => {
  const [, reply] = await run(kernel, "sleep");
  assert.match(reply.content, /^Ended from outside: it ran longer than 1 s/);
  await sleepersEnd("sleep 61.7");
});

const HUNDREDS = "i=0; while [ $i -lt 400 ]; do sleep 61.8 & i=$((i+1)); done; sleep 61.8";

together("a command that starts hundreds of processes is ended with all of them", {
  "start hundreds": [
    calls(["attach_tool", { name: "use_terminal" }]),
    calls(["use_terminal", { command: HUNDREDS, timeout_seconds: 2 }]),
    end,
  ],
}, async (kernel) => {
  const [, reply] = await run(kernel, "start hundreds");
  // An ordinary user's limit refuses most of them; root's does not hold, and then the deadline ends all.
  assert.match(reply.content, /ran longer than 2 s|annot fork/);
  await sleepersEnd("sleep 61.8");
});

// Files with holes: they count by their size, and cost no disk.
const FILLING = "for i in 1 2 3 4 5 6 7 8 9; do truncate -s 250M f$i; done; sleep 61.9";

together("a command that fills the workspace is ended", {
  fill: [
    calls(["attach_tool", { name: "use_terminal" }]),
    command(FILLING),
    end,
  ],
}, async (kernel) => {
  const [, reply] = await run(kernel, "fill");
  assert.match(reply.content, /^Ended from outside: the workspace grew over 2048 MB/);
});

Deno.test("a command without namespaces waits for a person, and runs once they allow it", async () => {
  await using folder = await tempFolder();
  const kernel = await startAgents(folder.path, {
    shell: [
      calls(["attach_tool", { name: "use_terminal" }]),
      calls(["use_terminal", { command: "echo allowed > done.txt; cat done.txt" }]),
      end,
    ],
  }, { layers: { bwrap: false, prlimit: true } });
  const tree_id = await begin(kernel, "shell");
  const asked = await question(kernel, tree_id);
  assert.equal(asked.detail, "echo allowed > done.txt; cat done.txt");
  assert.match(asked.issue, /no bwrap/);
  const file = `${folder.path}/workspaces/${tree_id}/done.txt`;
  await assert.rejects(Deno.stat(file));
  await decide(kernel, asked.id, { decision: "approved", comment: "" });
  const [, reply] = await finished(kernel, tree_id);
  assert.equal(reply.content, "Exit code 0\nallowed\n");
  await kernel.stop();
});

together("a command that asks for the network waits for a person", {
  "ask for a network": [
    calls(["attach_tool", { name: "use_terminal" }]),
    calls(["use_terminal", { command: "true", network: true }]),
    end,
  ],
}, async (kernel) => {
  const tree_id = await begin(kernel, "ask for a network");
  const asked = await question(kernel, tree_id);
  assert.match(asked.issue, /network/);
  await decide(kernel, asked.id, { decision: "rejected", comment: "" });
  const [, reply] = await finished(kernel, tree_id);
  assert.match(reply.content, /did not allow it/);
});
