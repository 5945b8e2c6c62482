/**
 * `deno task bench:files`: calls of a workspace tool. K: `read_file` of a small file, in a process that is
 * warm. L: the first call of a tree. M: calls of one tree beside forty of another that would never end.
 */
import { workspacesIn } from "../support/workspaces.ts";

const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "troupe-bench-" }));
const { workspaces } = await workspacesIn(folder);
const child = await workspaces.open();
const { signal } = new AbortController();
const endless = new AbortController();

const write = (tree_id: string, path: string, content: string) =>
  workspaces.use({ tree_id, tool: "write_file", input: { path, content } }, signal);

/** ms of one call of `read_file`. */
async function read(tree_id: string): Promise<number> {
  const begun = performance.now();
  const reply = await workspaces.use({ tree_id, tool: "read_file", input: { path: "a" } }, signal);
  if (reply.content !== "text") throw new Error(reply.content);
  return performance.now() - begun;
}

async function reads(count: number, tree_id: string): Promise<number[]> {
  const took: number[] = [];
  for (let at = 0; at < count; at++) took.push(await read(tree_id));
  return took;
}

await write("warm", "a", "text");
await reads(50, "warm");
say("K  read_file of a warm process", await reads(500, "warm"));

const first: number[] = [];
for (let at = 0; at < 20; at++) {
  await Deno.mkdir(`${folder}/workspaces/new-${at}`);
  await Deno.writeTextFile(`${folder}/workspaces/new-${at}/a`, "text");
  first.push(await read(`new-${at}`));
}
say("L  the first read_file of a tree", first);

await write("hostile", "bomb", `${"a".repeat(60)}!`);
await reads(50, "warm");
const input = { pattern: "^(a+)+$" };
const hostile = Array.from(
  { length: 40 },
  () => workspaces.use({ tree_id: "hostile", tool: "search_files", input }, endless.signal),
);
Promise.allSettled(hostile);
say("M  read_file beside forty searches that never end", await reads(500, "warm"));
endless.abort();
await child.stop();
await Deno.remove(folder, { recursive: true });

function say(what: string, took: number[]): void {
  took.sort((a, b) => a - b);
  const ms = (part: number) => `${took[Math.floor(part * (took.length - 1))].toFixed(2)} ms`;
  console.log(`${what}: ${took.length} calls, p50 ${ms(0.5)}, p99 ${ms(0.99)}, at most ${ms(1)}`);
}
