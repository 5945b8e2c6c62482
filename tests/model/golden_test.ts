/**
 * What is really sent: each request of one conversation, byte for byte, as it was reviewed against the
 * API's reference. Renew the files with `TROUPE_GOLDEN=write`, and review what changed in them.
 */
import assert from "node:assert/strict";
import { type Asked, type Block, call, text } from "../support/messages_server.ts";
import { end, KEY, talk } from "../support/talk.ts";

const RENEW =
  "If that is meant, renew the files and review them: TROUPE_GOLDEN=write deno test --allow-all " +
  "tests/model/golden_test.ts";

Deno.test("the requests of a conversation are those that were reviewed, byte for byte", async () => {
  const sent = await conversation();
  assert.equal(sent.length, 4);
  const known = new Map<string, string>();
  for (const [index, one] of sent.entries()) {
    const file = new URL(`./golden/turn_${index + 1}.json`, import.meta.url);
    const said = withoutIds(`${JSON.stringify(asSent(one), null, 2)}\n`, known);
    if (Deno.env.get("TROUPE_GOLDEN") === "write") await Deno.writeTextFile(file, said);
    assert.equal(said, await Deno.readTextFile(file), `${file.pathname} differs. ${RENEW}`);
  }
});

Deno.test("the requests that were reviewed keep to the rules of the API", async () => {
  let before = ["", "", ""];
  for (const turn of [1, 2, 3, 4]) {
    const file = new URL(`./golden/turn_${turn}.json`, import.meta.url);
    const { body } = JSON.parse(await Deno.readTextFile(file));
    assertAllowed(body);
    // Tools and system first, then the conversation: what the provider has read once stays as it was.
    const parts = [body.tools, body.system, body.messages].map(unmarked);
    parts.forEach((part, index) =>
      assert.ok(part.startsWith(before[index]), `turn ${turn} says something before what it said`)
    );
    before = parts.map((part) => part.slice(0, -1));
  }
});

/**
 * Four turns of one task: thinking and two calls at once; a call that fails; a question for a document,
 * which is attached while a person gives a hint; the end.
 */
async function conversation(): Promise<Asked[]> {
  const thought = (thinking: string) => ({ type: "thinking", thinking, signature: "c2lnbmVk" });
  await using one = await talk(async ({ agent, turn }): Promise<Block[]> => {
    if (agent === "context_addition") {
      if (turn > 0) return end("attached system_overview");
      const [{ id: root, tree_id }] = await one.kernel.read.selectFrom("tasks")
        .select(["id", "tree_id"]).where("agent", "=", "generalist").execute();
      await one.tell(tree_id, root, { type: "hint", text: 'Be brief & use "quotes" <sparingly>' });
      return [call("toolu_05", "attach_document", { name: "system_overview" })];
    }
    switch (turn) {
      case 0:
        return [
          thought("Two files are wanted."),
          text("I write both files."),
          call("toolu_01", "write_file", { path: "a.txt", content: "first\n" }),
          call("toolu_02", "write_file", { path: "b.txt", content: "second ✓\n" }),
        ];
      case 1:
        return [call("toolu_03", "read_file", { path: "missing.txt" })];
      case 2:
        return [
          thought("That is not there. I ask."),
          call("toolu_04", "request_context", { context_needed: "How the system is built" }),
        ];
      default:
        return end("done");
    }
  });
  const { result, reason } = await one.run('Write two files <and> "read" a third & end');
  assert.equal(result, "done", String(reason));
  return one.asked.filter(({ agent }) => agent === "generalist");
}

/** A request with the headers that matter, without its key. */
function asSent({ path, headers, body }: Asked) {
  const of = (name: string) => headers.get(name)?.replaceAll(KEY, "(the key)") ?? null;
  const matter = ["anthropic-version", "authorization", "content-type", "x-api-key"];
  return { path, headers: Object.fromEntries(matter.map((name) => [name, of(name)])), body };
}

/** ULIDs are others each time: they are numbered in the order in which they appear. */
function withoutIds(said: string, known: Map<string, string>): string {
  return said.replaceAll(/\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b/g, (id) => {
    const name = known.get(id) ?? `01${String(known.size + 1).padStart(24, "0")}`;
    known.set(id, name);
    return name;
  });
}

/** Blocks without the cache's marks, which move on from turn to turn. */
function unmarked(blocks: readonly unknown[]): string {
  return JSON.stringify(blocks, (key, value) => key === "cache_control" ? undefined : value);
}

interface Body {
  readonly [field: string]: unknown;
  readonly max_tokens: number;
  readonly tools: readonly Block[];
  readonly system: readonly Block[];
  readonly messages: readonly { readonly role: string; readonly content: readonly Block[] }[];
}

/** The rules of the Messages API (version 2026-10-21) that a request could break. */
function assertAllowed(body: Body): void {
  const { messages } = body;
  const fields = ["max_tokens", "messages", "model", "stream", "system", "tools"];
  assert.deepEqual(Object.keys(body).sort(), fields);
  assert.ok(body.max_tokens >= 1);

  const marks = JSON.stringify(body).match(/"cache_control":\{"type":"ephemeral"\}/g) ?? [];
  assert.ok(marks.length >= 3 && marks.length <= 4, `${marks.length} breakpoints`);
  assert.equal(JSON.stringify(body).match(/"cache_control"/g)!.length, marks.length);

  const names = body.tools.map(({ name }) => String(name));
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[a-zA-Z0-9_-]{1,128}$/);

  assert.equal(messages.at(-1)!.role, "user");
  messages.forEach(({ role, content }, index) => {
    assert.equal(role, index % 2 === 0 ? "user" : "assistant");
    assert.ok(content.length > 0);
    const calls = messages[index - 1]?.content.filter(({ type }) => type === "tool_use") ?? [];
    const results = content.filter(({ type }) => type === "tool_result");
    assert.deepEqual(
      results.map(({ tool_use_id }) => tool_use_id),
      role === "user" ? calls.map(({ id }) => id) : [],
    );
    assert.deepEqual(content.slice(0, results.length), results);
    for (const block of [...content, ...body.system]) {
      if (block.type === "text") assert.notEqual(String(block.text).trim(), "");
      if (block.type === "thinking") assert.notEqual(block.signature, "");
      assert.ok(block.type !== "thinking" || !block.cache_control);
      assert.ok(!("broken" in block));
    }
  });
}
