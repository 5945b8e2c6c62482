/** What is done with paths that agents chose: never by the kernel, always where it can be killed. */
import assert from "node:assert/strict";
import { weigh } from "../../runtime/confined/quota.ts";
import type { Layers } from "../../runtime/confined/sandbox.ts";
import {
  FILES_DEADLINE_MS,
  WORKSPACE_FRAME_BYTES_MAX,
  WORKSPACE_PROCESSES_MAX,
} from "../../runtime/core/limits.ts";
import type { ToolOf } from "../../runtime/core/toolkit/mod.ts";
import { type Clock, type FilesReply, systemClock } from "../../runtime/ports.ts";
import { HandClock } from "../support/clock.ts";
import { tempFolder } from "../support/folder.ts";
import { longTest } from "../support/long.ts";
import { until } from "../support/until.ts";
import { workspacesIn } from "../support/workspaces.ts";

interface Shop extends AsyncDisposable {
  readonly folder: string;
  readonly at: Awaited<ReturnType<typeof workspacesIn>>;
  /** Where the workspace of `tree` is. */
  readonly workspace: string;
  use(tool: ToolOf<"files">, input: Record<string, unknown>, tree_id?: string): Promise<FilesReply>;
  /** Pids of the workspace processes that live. */
  processes(): Promise<readonly string[]>;
}

async function shop(clock: Clock = systemClock, layers?: Layers): Promise<Shop> {
  const temp = await tempFolder();
  const folder = await Deno.realPath(temp.path);
  const at = await workspacesIn(folder, { clock, layers });
  const child = await at.workspaces.open();
  const workspace = await at.workspaces.folderOf("tree");
  return {
    folder,
    at,
    workspace,
    use: (tool, input, tree_id = "tree") =>
      at.workspaces.use({ tree_id, tool, input }, new AbortController().signal),
    processes: async () => {
      const { stdout } = await new Deno.Command("pgrep", {
        // Deno itself, and not what was put around it.
        args: ["-f", `^[^ ]*deno run .*confined/workspace.ts ${folder}/`],
      }).output();
      return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
    },
    [Symbol.asyncDispose]: async () => {
      await child.stop();
      await at.removal.settled();
      await perl(
        `system "chmod", "-R", "u+rwx", "--", $ARGV[0]; system "rm", "-rf", "--", $ARGV[0]`,
        [
          folder,
        ],
      );
    },
  };
}

async function perl(script: string, args: readonly string[] = [], cwd?: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("perl", { args: ["-e", script, ...args], cwd })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

Deno.test("a folder that is swapped with a link all the time leads nobody out of the workspace", async () => {
  await using at = await shop();
  const outside = `${at.folder}/outside`;
  await Deno.mkdir(outside);
  await Deno.writeTextFile(`${outside}/file`, "the secret");
  await Deno.mkdir(`${at.workspace}/a`);
  await Deno.writeTextFile(`${at.workspace}/a/file`, "mine");
  await Deno.symlink(outside, `${at.workspace}/b`);
  // renameat2 with RENAME_EXCHANGE: at no instant is one of them missing.
  const swap = 'my ($a, $b) = ("a", "b"); while (1) { syscall(316, -100, $a, -100, $b, 2) }';
  const swapping = new Deno.Command("perl", { args: ["-e", swap], cwd: at.workspace }).spawn();
  try {
    const seen = new Set<string>();
    for (let time = 0; time < 100; time++) {
      for (
        const reply of [
          await at.use("read_file", { path: "a/file" }),
          await at.use("write_file", { path: `a/new-${time}`, content: "x" }),
          await at.use("edit_file", { path: "a/file", old_text: "secret", new_text: "x" }),
          await at.use("search_files", { path: "a", pattern: "secret" }),
          await at.use("list_files", { path: "a" }),
        ]
      ) {
        assert.ok(!reply.content.includes("the secret"), reply.content);
        seen.add(reply.is_error ? "refused" : "answered");
      }
    }
    assert.deepEqual([...seen].sort(), ["answered", "refused"], "nothing was ever swapped");
  } finally {
    swapping.kill("SIGKILL");
    await swapping.status;
  }
  assert.deepEqual(await Array.fromAsync(Deno.readDir(outside), ({ name }) => name), ["file"]);
  assert.equal(await Deno.readTextFile(`${outside}/file`), "the secret");
});

Deno.test("a search that never ends is ended at its deadline, and holds up no other tree", async () => {
  const clock = new HandClock();
  await using at = await shop(clock);
  await Deno.writeTextFile(`${at.workspace}/bomb`, `${"a".repeat(60)}!`);
  const endless = at.use("search_files", { pattern: "^(a+)+$" });
  await until("its process", async () => (await at.processes()).length === 1);
  const beside = await at.use("write_file", { path: "file", content: "theirs" }, "other");
  assert.equal(beside.is_error, undefined);
  const [before] = await at.processes();
  const reply = await until("the end of the search", () => {
    clock.advance(FILES_DEADLINE_MS);
    return Promise.race([endless, new Promise<null>((resolve) => setTimeout(resolve, 10, null))]);
  });
  assert.deepEqual(reply, { content: "It took longer than 20 s and was ended", is_error: true });
  await until("the end of its process", async () => !(await at.processes()).includes(before));
  assert.equal((await at.use("list_files", {})).content, "bomb (61 bytes)");
});

Deno.test("a named pipe is no file to read, and one that is opened all the same ends with its process", async () => {
  await using at = await shop();
  await perl('system "mkfifo", "pipe"', [], at.workspace);
  for (
    const [tool, input] of [["read_file", {}], ["edit_file", {
      old_text: "x",
      new_text: "y",
    }]] as const
  ) {
    const reply = await at.use(tool, { path: "pipe", ...input });
    assert.deepEqual(reply, { content: "pipe is no regular file", is_error: true });
  }
  assert.equal((await at.use("search_files", { pattern: "." })).content, "(no matches)");
});

Deno.test("more trees at once than there are processes all get their turn", async () => {
  await using at = await shop();
  const trees = Array.from({ length: WORKSPACE_PROCESSES_MAX + 3 }, (_, tree) => `tree-${tree}`);
  const replies = await Promise.all(
    trees.map((tree) => at.use("write_file", { path: "name", content: tree }, tree)),
  );
  assert.ok(replies.every(({ is_error }) => !is_error), JSON.stringify(replies));
  assert.ok((await at.processes()).length <= WORKSPACE_PROCESSES_MAX);
  for (const tree of trees) {
    assert.equal((await at.use("read_file", { path: "name" }, tree)).content, tree);
  }
});

longTest(
  "trees whose calls never end keep the places of no other tree for longer than one of them",
  async () => {
    const clock = new HandClock();
    await using at = await shop(clock);
    const hostile = Array.from({ length: WORKSPACE_PROCESSES_MAX }, (_, tree) => `hostile-${tree}`);
    const bomb = { path: "bomb", content: `${"a".repeat(60)}!` };
    for (const tree of hostile) await at.use("write_file", bomb, tree);
    // More calls than it lives to see: what is left of them ends with the workspaces.
    Promise.allSettled(
      [...hostile, ...hostile].map((tree) => at.use("search_files", { pattern: "^(a+)+$" }, tree)),
    );
    await until("all of them at work", () => deadlines(clock) === WORKSPACE_PROCESSES_MAX);
    const writing = at.use("write_file", { path: "file", content: "x" });
    clock.advance(FILES_DEADLINE_MS);
    assert.equal((await writing).content, "Wrote file (1 bytes)");
  },
);

/** Calls whose deadline is as far away as it can be. */
const deadlines = ({ waits }: HandClock) => waits.filter((ms) => ms === FILES_DEADLINE_MS).length;

Deno.test("a call that is too large to be asked is an error of its own, and the next one is answered", async () => {
  await using at = await shop();
  const { signal } = new AbortController();
  const input = { path: "a", old_text: "x", new_text: "y".repeat(WORKSPACE_FRAME_BYTES_MAX) };
  await assert.rejects(
    at.at.workspaces.use({ tree_id: "tree", tool: "edit_file", input }, signal),
    /over the limit/,
  );
  assert.equal((await at.use("list_files", {})).content, "(no files)");
});

Deno.test("a call that is called off while its process starts ends, and the next one is answered", async () => {
  await using at = await shop();
  const off = new AbortController();
  const use = { tree_id: "tree", tool: "list_files", input: {} } as const;
  const called = at.at.workspaces.use(use, off.signal);
  off.abort();
  await assert.rejects(called);
  assert.equal((await at.use("list_files", {})).content, "(no files)");
});

Deno.test("a process that is killed in the middle is an answer, and the next call has another", async () => {
  await using at = await shop();
  await at.use("write_file", { path: "bomb", content: `${"a".repeat(60)}!` });
  const endless = at.use("search_files", { pattern: "^(a+)+$" });
  for (const pid of await at.processes()) Deno.kill(Number(pid), "SIGKILL");
  const reply = await endless;
  assert.match(reply.content, /^It was ended: /);
  assert.equal(reply.is_error, true);
  assert.equal((await at.use("read_file", { path: "bomb" })).content.length, 61);
});

Deno.test("a workspace with folders without end, with names of bytes and with empty files is weighed whole", async () => {
  await using at = await shop();
  await perl(
    `for (1 .. 300) { open F, ">", "empty-$_" or die }
     open F, ">", "\\xff\\xfe" or die; print F "x" x 1_000_000; close F;
     mkdir "\\xc0" or die; open F, ">", "\\xc0/\\x80\\n" or die; print F "x" x 1_000_000; close F;
     for (1 .. 2_000) { mkdir "d" or die; chdir "d" or die }
     open F, ">", "deep" or die; print F "x" x 1_000_000; close F;`,
    [],
    at.workspace,
  );
  const signal = new AbortController().signal;
  const weight = await weigh(at.at.layers, at.workspace, signal);
  assert.equal(weight?.files, 1 + 300 + 3 + 2_000 + 1);
  assert.ok(weight!.bytes >= 3_000_000, JSON.stringify(weight));
  // The tools pass over what they cannot name, however deep the rest of it is.
  const { content } = await at.use("list_files", {});
  assert.match(content, /^(d\/){2000}deep \(1000000 bytes\)\nempty-1 \(0 bytes\)\n/);
});

Deno.test("a folder of sixteen thousand folders is removed, and nobody waits for it", async () => {
  await using at = await shop();
  const folder = `${at.folder}/scratch`;
  await Deno.mkdir(folder);
  await perl(
    `for (1 .. 16_000) { mkdir "d" or die; chdir "d" or die } mkdir "\\xff"; chmod 0, "\\xff"`,
    [],
    folder,
  );
  await at.at.removal.remove(folder);
  await assert.rejects(Deno.stat(folder), Deno.errors.NotFound);
  await at.at.removal.settled();
  assert.deepEqual(await Array.fromAsync(Deno.readDir(`${at.folder}/trash`)), []);
});

Deno.test("a granted path that is a link out of the workspace is refused, and nothing is made outside", async () => {
  await using at = await shop();
  const outside = `${at.folder}/outside`;
  await Deno.mkdir(outside);
  await Deno.symlink(outside, `${at.workspace}/out`);
  await Deno.symlink(`${outside}/none`, `${at.workspace}/nowhere`);
  // Followed, it would grant the whole disk: a comma begins the next grant.
  await Deno.mkdir(`${at.workspace}/a,/b`, { recursive: true });
  await Deno.symlink("a,/b", `${at.workspace}/comma`);
  const { signal } = new AbortController();
  for (const path of ["out", "out/deeper/still", "nowhere", "nowhere/deeper", "comma"]) {
    await assert.rejects(
      at.at.workspaces.resolve(at.workspace, [path], true, signal),
      { message: `${path} leads out of the workspace` },
    );
  }
  assert.deepEqual(await Array.fromAsync(Deno.readDir(outside)), []);
  const made = await at.at.workspaces.resolve(at.workspace, [".", "new/folder"], true, signal);
  assert.deepEqual(made, [at.workspace, `${at.workspace}/new/folder`]);
});
