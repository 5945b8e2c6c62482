import assert from "node:assert/strict";
import { tempFolder } from "../support/folder.ts";
import { longTest } from "../support/long.ts";
import { type Edit, MUTANTS } from "./mutants.ts";

const ROOT = new URL("../../", import.meta.url);
/** What a simulation is made of. */
const PARTS = [
  "actors",
  "db",
  "runtime",
  "seeds",
  "tests/simulation",
  "tests/support",
  "deno.json",
  "deno.lock",
];
/** Seeds in which one of them must show at the latest. */
const SEEDS = 1_000;

for (const { story, edits } of MUTANTS) {
  longTest(`The simulation finds it: ${story}`, async () => {
    await using folder = await tempFolder();
    for (const part of PARTS) await copy(new URL(part, ROOT).pathname, `${folder.path}/${part}`);
    for (const edit of edits) await carryOut(folder.path, edit);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--no-prompt", "--no-check"],
        ...["--allow-read", "--allow-env", "--allow-ffi", "--allow-sys"],
        ...[`${folder.path}/tests/simulation/main.ts`, "--seeds", String(SEEDS), "--first"],
      ],
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.equal(code, 1, `${said}\n${new TextDecoder().decode(stderr)}`);
    assert.match(said, /^seed \d+: /m);
    console.log(said.split("\n")[0]);
  });
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
  const { code } = await new Deno.Command("cp", { args: ["-r", from, to] }).output();
  assert.equal(code, 0, `cannot copy ${from}`);
}

async function carryOut(folder: string, edit: Edit): Promise<void> {
  const path = `${folder}/${edit.file}`;
  const text = await Deno.readTextFile(path);
  const parts = text.split(edit.old);
  assert.equal(parts.length, 2, `${edit.file} has not exactly one: ${edit.old}`);
  await Deno.writeTextFile(path, parts.join(edit.new));
}
