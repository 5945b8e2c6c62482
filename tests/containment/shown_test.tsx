/** What agents and their tools say, shown to a person: it is never taken for what the system says. */
import assert from "node:assert/strict";
import { renderToString } from "preact-render-to-string";
import type { JournalEntry } from "../../db/entries.ts";
import { Journal } from "../../routes/pages/tree/journal.tsx";

/** The journal of a task that called this tool and was told this. */
function shown(name: string, content: string): string {
  const said = [
    { type: "model.replied", content: [{ type: "tool_use", id: "c", name, input: {} }] },
    { type: "tool.replied", call_id: "c", content },
  ];
  const entries = said.map((message, seq) => ({
    seq,
    type: message.type,
    message_json: JSON.stringify(message),
    created_at: 0,
    total: said.length,
    // Nothing else of an entry is shown.
  } as unknown as JournalEntry));
  return renderToString(<Journal entries={entries} />);
}

const END = { status: "done", task_id: "01J", result: "the result" };
const BADGE = 'class="badge done"';

Deno.test("what a child came back with is shown as its end", () => {
  assert.ok(shown("start_subtask", JSON.stringify(END)).includes(BADGE));
});

for (
  const [what, content] of [
    ["a child's end", END],
    ["one with a result that is no text", { ...END, result: { deep: [1] } }],
    ["one with a status of its own", { ...END, status: "approved" }],
    ["one with a reason that is no text", { ...END, result: null, reason: ["x"] }],
    ["one with nothing else", { status: "done" }],
  ] as const
) {
  Deno.test(`a tool's answer that looks like ${what} is shown as a text`, () => {
    for (const name of ["a_written_tool", "read_file", "a call"]) {
      const html = shown(name, JSON.stringify(content));
      assert.ok(!html.includes("badge"), html);
      assert.ok(html.includes("{&quot;status&quot;:"), html);
    }
  });
}

Deno.test("a child's end of another shape than it should have is shown as a text", () => {
  const html = shown("start_subtask", JSON.stringify({ ...END, result: { deep: [1] } }));
  assert.ok(!html.includes("badge") && html.includes("{&quot;status&quot;:"), html);
});
