/** What a tool prints is its log, whole: it comes another way than the report, and may be read later. */
import assert from "node:assert/strict";
import { type CellCall, ToolCells } from "../../runtime/confined/tool_cells.ts";
import { TOOL_LOG_MS } from "../../runtime/core/limits.ts";
import { type Clock, systemClock, type ToolOutcome } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";
import { tempFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { workspacesIn } from "../support/workspaces.ts";

/** Tool cells over a folder of their own; `call` calls a tool that may do nothing. */
async function toolCells(clock: Clock) {
  const folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/scratch`);
  const { layers, workspaces, removal } = await workspacesIn(folder.path);
  const cells = new ToolCells(
    {
      sockets: folder.path,
      scratch: `${folder.path}/scratch`,
      code: decodeURIComponent(new URL("../../", import.meta.url).pathname),
      layers,
    },
    workspaces,
    removal,
    clock,
    () => {},
  );
  const child = await cells.open();
  const grants = { net: [], read: [], write: [] };
  return {
    call(source: string, signal = new AbortController().signal): Promise<ToolOutcome> {
      const call: CellCall = { source, input: {}, grants, workspace: null };
      return cells.call(call, signal);
    },
    [Symbol.asyncDispose]: async () => {
      await child.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a tool's log has all that it printed before it answered, on both outputs, whatever it answers", async () => {
  await using cells = await toolCells(systemClock);
  const lines = 600;
  const source = (end: string) =>
    `export default () => {
      for (let n = 0; n < ${lines}; n++) (n % 2 ? console.log : console.error)("line " + n);
      ${end};
    };`;
  for (const end of ["return 1", "throw new Error('x')", "return 1n"]) {
    const { log } = await cells.call(source(end));
    assert.deepEqual(
      log.trimEnd().split("\n").toSorted(),
      Array.from({ length: lines }, (_, n) => `line ${n}`).toSorted(),
      end,
    );
  }
});

const HIDING: [what: string, source: string][] = [
  ["closes its outputs", "Deno.stdout.close(); Deno.stderr.close();"],
  ["breaks what the end is written with", "globalThis.TextEncoder = null;"],
];

for (const [what, source] of HIDING) {
  Deno.test(`a tool that ${what} is waited for a little and no longer`, async () => {
    const clock = new HandClock();
    await using cells = await toolCells(clock);
    let outcome: ToolOutcome | null = null;
    cells.call(`export default () => { ${source} return 1; };`).then((answer) => outcome = answer);
    await until("its answer", () => {
      // Without namespaces a closed output is seen to be closed, and nobody waits.
      if (clock.waits.includes(TOOL_LOG_MS)) clock.advance(TOOL_LOG_MS);
      return outcome;
    });
    assert.deepEqual(outcome, { ok: true, value: 1, log: "" });
  });
}

Deno.test("a call that is called off while its log is waited for ends with the tool's process", async () => {
  const clock = new HandClock();
  const cells = await toolCells(clock);
  const calling = cells.call("export default () => { globalThis.TextEncoder = null; };");
  await until("its report", () => clock.waits.includes(TOOL_LOG_MS));
  await cells[Symbol.asyncDispose]();
  assert.equal((await calling).ok, true);
});
