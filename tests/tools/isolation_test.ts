/** What an agent cannot reach: files outside of its tree's workspace, tools it was not given. */
import assert from "node:assert/strict";
import { actorProgresses } from "../../db/actors.ts";
import { callStuck } from "../../db/ladder.ts";
import { enqueue } from "../../db/envelopes.ts";
import { addEffect } from "../../db/outbox.ts";
import { unitOf } from "../../runtime/commands/mod.ts";
import type { Workspaces } from "../../runtime/confined/workspaces.ts";
import type { Outcome, Performers, ToolCall } from "../../runtime/commands/outcome.ts";
import type { Purpose } from "../../runtime/core/protocol.ts";
import { EffectOutbox } from "../../runtime/outbox/outbox.ts";
import { children } from "../../runtime/tools/children.ts";
import { store as storeTools } from "../../runtime/tools/store.ts";
import { type Child, type FilesReply, systemClock, ulids } from "../../runtime/ports.ts";
import { Refusal } from "../../runtime/core/refusal.ts";
import { TOOLKIT, type ToolOf } from "../../runtime/core/toolkit/mod.ts";
import { tempFolder } from "../support/folder.ts";
import { addTestTree, everyRow, refusal, type TempStore, tempStore } from "../support/store.ts";
import { workspacesIn } from "../support/workspaces.ts";

const call = (
  tool: string,
  input: Record<string, unknown>,
  more: Partial<ToolCall> = {},
): ToolCall => ({
  key: "key",
  task_id: "task",
  tree_id: "tree",
  call_id: "call",
  tool: TOOLKIT.get(tool)!,
  input,
  ...more,
});

/** One of each for all tests: who needs the database begins its own trees in it, who needs files fills the folder anew. */
let db: TempStore;
let folder: Awaited<ReturnType<typeof tempFolder>>;
let door: Workspaces;
let files: Child;
Deno.test.beforeAll(async () => {
  db = await tempStore({ seeded: true });
  folder = await tempFolder();
  ({ workspaces: door } = await workspacesIn(await Deno.realPath(folder.path)));
  files = await door.open();
});
Deno.test.afterAll(async () => {
  await files.stop();
  await folder[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});

interface Shop extends AsyncDisposable {
  /** Holds the workspaces of all trees. */
  readonly path: string;
  /** Beside the workspaces; nothing of it may be read or written. */
  readonly outside: string;
  use(tool: ToolOf<"files">, input: Record<string, unknown>, tree_id?: string): Promise<FilesReply>;
}

/** The real files actor over two workspaces, with a secret outside of them. */
async function workspaces(): Promise<Shop> {
  const path = door.config.workspaces;
  const outside = `${await Deno.realPath(folder.path)}/outside`;
  for (const place of [`${path}/tree`, `${path}/other`, outside]) {
    await Deno.mkdir(place, { recursive: true });
  }
  await Deno.writeTextFile(`${outside}/secret.txt`, "the secret");
  await Deno.writeTextFile(`${path}/other/theirs.txt`, "the secret");
  return {
    path,
    outside,
    use: (tool, input, tree_id = "tree") =>
      door.use({ tool, input, tree_id }, new AbortController().signal),
    [Symbol.asyncDispose]: async () => {
      for await (const { name } of Deno.readDir(path)) await door.leave(`${path}/${name}`);
      await Deno.remove(path, { recursive: true });
      await Deno.remove(outside, { recursive: true });
    },
  };
}

/** Every file below a folder with its content, links as links. */
async function snapshot(root: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(root)) {
    const place = `${root}/${name}`;
    if (isSymlink) lines.push(`${place} -> ${await Deno.readLink(place)}`);
    else if (isDirectory) lines.push(place, ...await snapshot(place));
    else lines.push(`${place}: ${await Deno.readTextFile(place)}`);
  }
  return lines.sort();
}

/** Tries each file tool on a path; none may succeed, tell the secret, or change anything. */
async function assertShut(
  { path, outside, use }: Shop,
  to: string,
  tools: readonly ToolOf<"files">[] = [
    "read_file",
    "write_file",
    "edit_file",
    "list_files",
    "search_files",
  ],
): Promise<void> {
  const before = [await snapshot(path), await snapshot(outside)];
  const inputs: Record<ToolOf<"files">, Record<string, unknown>> = {
    read_file: { path: to },
    write_file: { path: to, content: "overwritten" },
    edit_file: { path: to, old_text: "secret", new_text: "overwritten" },
    list_files: { path: to },
    search_files: { path: to, pattern: "." },
  };
  for (const tool of tools) {
    const reply = await use(tool, inputs[tool]);
    assert.equal(reply.is_error, true, `${tool} ${to}: ${reply.content}`);
    assert.ok(!reply.content.includes("the secret"), `${tool} ${to} told the secret`);
    const said = reply.content.replaceAll(to, "");
    assert.ok(!said.includes(outside), `${tool} ${to} told where it is`);
  }
  assert.deepEqual([await snapshot(path), await snapshot(outside)], before);
}

Deno.test("a file tool works inside of the workspace", async () => {
  await using shop = await workspaces();
  const { use } = shop;
  assert.equal(
    (await use("write_file", { path: "a/b.txt", content: "one\ntwo" })).is_error,
    undefined,
  );
  assert.equal((await use("read_file", { path: "a/b.txt" })).content, "one\ntwo");
  await use("edit_file", { path: "a/b.txt", old_text: "two", new_text: "three" });
  assert.equal((await use("read_file", { path: "./a/b.txt", from_line: 2 })).content, "three");
  assert.match((await use("list_files", {})).content, /^a\/b\.txt /);
  assert.equal((await use("search_files", { pattern: "thr" })).content, "a/b.txt:2: three");
});

Deno.test("a path with .. does not leave the workspace", async () => {
  await using shop = await workspaces();
  for (
    const path of [
      "..",
      "../other/theirs.txt",
      "../../outside/secret.txt",
      "a/../../other/theirs.txt",
      "./../other/theirs.txt",
      "..\\other\\theirs.txt",
    ]
  ) await assertShut(shop, path);
});

Deno.test("an absolute path does not leave the workspace", async () => {
  await using shop = await workspaces();
  for (const path of [`${shop.outside}/secret.txt`, "/etc/passwd", "//etc/passwd", "/"]) {
    await assertShut(shop, path);
  }
});

Deno.test("a symbolic link to a file outside is not followed", async () => {
  await using shop = await workspaces();
  await Deno.symlink(`${shop.outside}/secret.txt`, `${shop.path}/tree/link.txt`);
  await assertShut(shop, "link.txt");
});

Deno.test("a symbolic link to a folder outside is not followed", async () => {
  await using shop = await workspaces();
  await Deno.symlink(shop.outside, `${shop.path}/tree/link`);
  for (const path of ["link", "link/secret.txt", "link/new.txt", "link/new/file.txt"]) {
    await assertShut(shop, path);
  }
});

Deno.test("a symbolic link to another tree's file is not followed", async () => {
  await using shop = await workspaces();
  await Deno.symlink("../other/theirs.txt", `${shop.path}/tree/link.txt`);
  await Deno.symlink("../other", `${shop.path}/tree/link`);
  await assertShut(shop, "link.txt");
  await assertShut(shop, "link/theirs.txt");
});

Deno.test("a symbolic link that leads nowhere is not written through", async () => {
  await using shop = await workspaces();
  await Deno.symlink(`${shop.outside}/new.txt`, `${shop.path}/tree/file`);
  await Deno.symlink(`${shop.outside}/new`, `${shop.path}/tree/folder`);
  await Deno.symlink(`${shop.path}/other/new.txt`, `${shop.path}/tree/theirs`);
  for (const path of ["file", "folder", "folder/new.txt", "theirs"]) await assertShut(shop, path);
});

Deno.test("a chain of symbolic links that leads outside is not followed", async () => {
  await using shop = await workspaces();
  await Deno.symlink("second", `${shop.path}/tree/first`);
  await Deno.symlink(`${shop.outside}/secret.txt`, `${shop.path}/tree/second`);
  await assertShut(shop, "first");
});

Deno.test("a listing and a search pass over links that lead outside", async () => {
  await using shop = await workspaces();
  await Deno.symlink(shop.outside, `${shop.path}/tree/folder`);
  await Deno.symlink(`${shop.outside}/secret.txt`, `${shop.path}/tree/file.txt`);
  assert.equal((await shop.use("list_files", {})).content, "(no files)");
  assert.equal((await shop.use("search_files", { pattern: "secret" })).content, "(no matches)");
});

Deno.test("a path with a NUL is refused", async () => {
  await using shop = await workspaces();
  for (const path of ["\0", "a\0b", "a.txt\0/../../../outside/secret.txt"]) {
    await assertShut(shop, path);
  }
});

Deno.test("two trees do not see each other's files", async () => {
  await using shop = await workspaces();
  const { use } = shop;
  await use("write_file", { path: "mine.txt", content: "mine" }, "tree");
  assert.equal((await use("read_file", { path: "mine.txt" }, "other")).is_error, true);
  assert.ok(!(await use("list_files", {}, "other")).content.includes("mine"));
  assert.equal((await use("search_files", { pattern: "mine" }, "other")).content, "(no matches)");
  await use("write_file", { path: "mine.txt", content: "theirs" }, "other");
  assert.equal((await use("read_file", { path: "mine.txt" }, "tree")).content, "mine");
});

Deno.test("a workspace of a tree whose name begins like another's is another workspace", async () => {
  await using shop = await workspaces();
  await Deno.mkdir(`${shop.path}/tree-2`);
  await Deno.writeTextFile(`${shop.path}/tree-2/secret.txt`, "the secret");
  await Deno.symlink("../tree-2/secret.txt", `${shop.path}/tree/link.txt`);
  await assertShut(shop, "link.txt");
});

function readingOf({ store }: TempStore) {
  return { read: store.read, clock: systemClock, ids: ulids, timeout_seconds: 60 };
}

/** What a tool of the store answers, and the unit of what it wants done. */
async function useStore(db: TempStore, one: ToolCall) {
  const outcome: Outcome = await storeTools(readingOf(db)).perform(one, NEVER);
  if (outcome.type !== "commanded") return { outcome, unit: [] };
  const by = { type: "task", task_id: one.task_id, tree_id: one.tree_id } as const;
  return { outcome, unit: (await unitOf(readingOf(db), outcome.command, by)).unit };
}

const NEVER = new AbortController().signal;

async function refused(db: TempStore, one: ToolCall): Promise<Refusal> {
  const error = await useStore(db, one).then(() => assert.fail("it was done"), (error) => error);
  assert.ok(error instanceof Refusal, String(error));
  return error;
}

/** A child of a task, whose agent is a supervisor. */
async function supervisor(
  db: TempStore,
  parent_id: string,
  purpose: Exclude<Purpose, "root">,
  call_id: string | null,
): Promise<string> {
  const asked = {
    agent: "supervisor",
    instruction: "Decide",
    purpose,
    parent_id,
    call_id,
  } as const;
  const work = await unitOf(
    readingOf(db),
    { verb: "start_child", ...asked, effect_key: null },
    { type: "system", part: "test" },
  );
  await db.commit(work.unit);
  return work.answer.task_id;
}

/** Has a tool called on behalf of a task, from the outbox on; gives what the task is told. */
async function told(
  db: TempStore,
  { tree_id, root_id }: { tree_id: string; root_id: string },
  name: string,
  input: Record<string, unknown>,
): Promise<{ content: string; is_error?: boolean }> {
  const effect = { type: "call_tool" as const, call_id: ulids.next(), name, input };
  const key = ulids.next();
  const effect_json = JSON.stringify(effect);
  await db.commit([
    addEffect({ key, tree_id, address: root_id, effect_json, now: 1 }),
  ]);
  const loop = { wake: () => {}, drop: () => {}, expect: () => {} };
  const ports = { store: db.store, news: { publish: () => {} }, loop, log: () => {} };
  // No other performer is asked here.
  const performers = { tools: { child: children(readingOf(db)) } } as Partial<
    Performers
  > as Performers;
  const outbox = new EffectOutbox({ ...ports, ...readingOf(db) }, performers);
  const due = { key, address: root_id, tree_id, effect };
  const runnable = { address: root_id, tree_id, priority: 5, urgent: false };
  await outbox.perform({ ...due, status: "pending", attempts: 0 }, runnable);
  const rows = await db.store.read.selectFrom("envelopes").select("message_json")
    .where("from_address", "=", "performer").where("to_address", "=", root_id)
    .orderBy("seq", "desc").limit(1).execute();
  const message = JSON.parse(rows[0].message_json);
  assert.equal(message.call_id, effect.call_id);
  return message;
}

Deno.test("an agent cannot attach resolve_task", async () => {
  const { tree_id, root_id } = await addTestTree(db);
  const one = call("attach_tool", { name: "resolve_task" }, { tree_id, task_id: root_id });
  const error = await refused(db, one);
  assert.equal(error.field, "name");
  const attached = await db.store.read.selectFrom("task_tools").selectAll()
    .where("task_id", "=", root_id).execute();
  assert.deepEqual(attached, []);
});

Deno.test("resolve_task is not among the optional tools", async () => {
  const { tree_id, root_id } = await addTestTree(db);
  const one = call("list_optional_tools", {}, { tree_id, task_id: root_id });
  const { outcome } = await useStore(db, one);
  assert.ok(outcome.type === "replied");
  assert.match(outcome.reply.content as string, /^- read_file: /m);
  assert.ok(!(outcome.reply.content as string).includes("resolve_task"));
});

Deno.test("an agent cannot create one that has resolve_task", async () => {
  const { tree_id, root_id } = await addTestTree(db);
  const input = { name: "judge", description: "x", instruction: "x", tools: ["resolve_task"] };
  const one = call("create_agent", input, { tree_id, task_id: root_id });
  assert.equal((await refused(db, one)).field, "tools");
});

Deno.test("resolve_task is refused outside of a supervision task", async () => {
  const { tree_id, root_id } = await addTestTree(db);
  const child_id = await supervisor(db, root_id, "subtask", "c");
  const input = { action: "cancel", comment: "I want it to end" };
  for (const task_id of [root_id, child_id]) {
    await refused(db, call("resolve_task", input, { tree_id, task_id }));
  }
  const tasks = await db.store.read.selectFrom("tasks").select("status")
    .where("tree_id", "=", tree_id).execute();
  assert.deepEqual(tasks.map(({ status }) => status), ["queued", "queued"]);
});

Deno.test("resolve_task in a supervision task ends the stuck task and spares the supervisor", async () => {
  const { tree_id, root_id } = await addTestTree(db);
  const child_id = await supervisor(db, root_id, "supervision", null);
  await db.commit([callStuck({ address: root_id, now: 1 })]);
  const input = { action: "cancel", comment: "It never answers" };
  const { unit } = await useStore(
    db,
    call("resolve_task", input, { tree_id, task_id: child_id }),
  );
  await db.commit(unit);
  const tasks = await db.store.read.selectFrom("tasks").select(["id", "status"]).execute();
  assert.equal(tasks.find(({ id }) => id === root_id)!.status, "failed");
  assert.equal(tasks.find(({ id }) => id === child_id)!.status, "queued");
});

Deno.test("what a supervisor decides about a task that is well again changes nothing", async () => {
  const { tree_id, root_id } = await addTestTree(db);
  const child_id = await supervisor(db, root_id, "supervision", null);
  await db.commit([callStuck({ address: root_id, now: 1 })]);
  await db.commit([actorProgresses({ address: root_id, now: 2 })]);
  const before = await everyRow(db.store, ["trees", "tasks", "actors", "entries", "envelopes"]);
  for (const action of ["retry", "hint", "cancel"]) {
    const input = { action, comment: "Too late" };
    const { unit } = await useStore(
      db,
      call("resolve_task", input, { tree_id, task_id: child_id }),
    );
    assert.match(await refusal(db.store, unit), /not stuck any more/);
  }
  const after = await everyRow(db.store, ["trees", "tasks", "actors", "entries", "envelopes"]);
  assert.equal(after, before);
});

Deno.test("a call of a tool that the task was not given is answered with an error", async () => {
  const tree = await addTestTree(db, { agent: "summary_agent" });
  for (const name of ["resolve_task", "write_file", "no_such_tool", "constructor"]) {
    const reply = await told(db, tree, name, {});
    assert.equal(reply.is_error, true);
    assert.match(reply.content, /There is no tool/);
  }
});

Deno.test("a call with wrong arguments is answered with an error that names them", async () => {
  const tree = await addTestTree(db);
  const reply = await told(db, tree, "start_subtask", { agent_type: "generalist", more: 1 });
  assert.equal(reply.is_error, true);
  assert.match(reply.content, /task_instruction: .*more/);
});

Deno.test("an agent cannot overwrite a document or an agent of the seeds", async () => {
  const { tree_id, root_id } = await addTestTree(db);
  const at = { tree_id, task_id: root_id };
  const document = { name: "system_overview", content: "Obey." };
  await refused(db, call("add_document", document, at));
  const agent = { name: "supervisor", description: "x", instruction: "x" };
  await refused(db, call("create_agent", agent, at));
});

Deno.test("a task cannot start one that an ancestor of it was given already", async () => {
  const tree = await addTestTree(db, { instruction: "Do it all" });
  const input = { task_instruction: "Do it all", agent_type: "generalist" };
  const reply = await told(db, tree, "start_subtask", input);
  assert.equal(reply.is_error, true);
  assert.match(reply.content, /this very task already/);
});

Deno.test("a tree does not grow deeper or larger than its budget", async () => {
  const input = { task_instruction: "A part", agent_type: "generalist" };
  const shallow = await addTestTree(db, { budget: { depth: 0 } });
  assert.match((await told(db, shallow, "start_subtask", input)).content, /0 levels deep/);
  const small = await addTestTree(db, { budget: { tasks: 1 } });
  assert.match((await told(db, small, "start_subtask", input)).content, /1 tasks, its limit/);
});

Deno.test("an actor cannot send an envelope into another tree", async () => {
  const [mine, other] = [await addTestTree(db), await addTestTree(db)];
  const message = { type: "hint", text: "Obey" };
  const envelope = { id: "e", tree_id: mine.tree_id, to: other.root_id, from: mine.root_id };
  const result = await db.store.commit([enqueue({ ...envelope, message }, 1)]);
  assert.equal(result.ok, false);
});
