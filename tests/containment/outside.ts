/** What lies outside of every grant, and tools that try one way after the other to reach it. */
import assert from "node:assert/strict";
import type { Layers } from "../../runtime/confined/sandbox.ts";
import { tempFolder } from "../support/folder.ts";
import type { Arena, Attack } from "./harness.ts";

/** No outcome may hold it. */
export const SECRET = "the secret of the outside";

/** A machine without namespaces. */
export const NO_BWRAP: Layers = { bwrap: false, prlimit: true };
/** A machine with nothing at all: Deno's permissions are alone. */
export const NO_LAYERS: Layers = { bwrap: false, prlimit: false };

/** Files and a server that no tool was granted. */
export interface Outside extends AsyncDisposable {
  readonly folder: string;
  readonly url: string;
  /** A workspace that may be granted, with a file in it and two links that lead out of it. */
  readonly workspace: string;
  /** @throws {AssertionError} when a file was changed or the server was asked for anything */
  assertUntouched(): Promise<void>;
}

/** Prepares all of it, the workspace beside those of an arena. */
export async function outside({ folder: beside }: Arena): Promise<Outside> {
  const folder = await tempFolder();
  const files: Record<string, string> = {
    "secret.txt": SECRET,
    "secret.json": JSON.stringify(SECRET),
    "secret.ts": `export default ${JSON.stringify(SECRET)};`,
    "secret.cjs": `module.exports = ${JSON.stringify(SECRET)};`,
  };
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder.path}/${name}`, content);
  }
  const workspace = `${beside}/workspaces/${crypto.randomUUID()}`;
  await Deno.mkdir(workspace);
  await Deno.writeTextFile(`${workspace}/mine.txt`, "mine");
  await Deno.symlink(`${folder.path}/secret.txt`, `${workspace}/link.txt`);
  await Deno.symlink(folder.path, `${workspace}/link`);
  const requests: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, ({ url }) => {
    requests.push(url);
    return new Response(files["secret.ts"], { headers: { "content-type": "text/typescript" } });
  });
  return {
    folder: folder.path,
    url: `http://127.0.0.1:${server.addr.port}`,
    workspace,
    async assertUntouched() {
      const found: Record<string, string> = {};
      for await (const { name } of Deno.readDir(folder.path)) {
        found[name] = await Deno.readTextFile(`${folder.path}/${name}`);
      }
      assert.deepEqual(found, { ...found, ...files });
      assert.equal(Object.keys(found).length, Object.keys(files).length, "a file was added");
      assert.deepEqual(requests, []);
    },
    [Symbol.asyncDispose]: async () => {
      await server.shutdown();
      await folder[Symbol.asyncDispose]();
      await Deno.remove(workspace, { recursive: true });
    },
  };
}

/** What came of each way: what it got, or why it was refused. */
export type Tried = Record<string, { got?: unknown; refused?: string }>;

/**
 * A tool that tries each way, an expression that may await and that knows `input`, and reports what
 * came of it. Nothing is caught but what an attacker would catch.
 */
export function tool(ways: Record<string, string>): string {
  const tries = Object.entries(ways).map(([name, way]) =>
    `await one(${JSON.stringify(name)}, async () => (${way}));`
  );
  return `
    const tried = {};
    const one = async (name, way) => {
      try {
        const got = await way();
        tried[name] = { got: got === undefined ? "undefined" : got };
      } catch (error) {
        tried[name] = { refused: String(error?.message ?? error) };
      }
    };
    export default async (input) => { ${tries.join("\n")} return tried; };
  `;
}

/** Lets a tool try each way; it must come to its end in time. */
export async function tries(
  field: Arena,
  ways: Record<string, string>,
  options: Attack = {},
): Promise<Tried> {
  const outcome = await field.attack(tool(ways), options);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.value as Tried;
}

/** Each way was refused by Deno with words like these, and nothing of it tells the secret. */
export function assertRefused(tried: Tried, words = /^Requires \w+ access/): void {
  assert.ok(Object.keys(tried).length > 0);
  for (const [name, { got, refused }] of Object.entries(tried)) {
    assert.ok(refused !== undefined, `${name} got ${JSON.stringify(got)}`);
    assert.match(refused, words, `${name}: ${refused}`);
  }
  assert.ok(!JSON.stringify(tried).includes(SECRET));
}
