/** Pictures and documents that tools give: kept once, shown to the model, and to the person who reads. */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import { MEDIA_BYTES_MAX } from "../../runtime/core/limits.ts";
import { replies } from "../support/agents.ts";
import { type Block, call } from "../support/messages_server.ts";
import { end, type Talk } from "../support/talk.ts";
import { talksInTurn } from "../support/talks_in_turn.ts";

const talk = talksInTurn();

/** One grey pixel. */
const PNG = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==",
);
const PDF = new TextEncoder().encode("%PDF-1.4\n%…\n");

/** Talks to an agent that reads the files in turn, which stand in its workspace. */
function reading(files: Record<string, Uint8Array<ArrayBuffer>>): Talk {
  const names = Object.keys(files);
  const one = talk(async ({ turn }) => {
    if (turn === 0) {
      for (const [name, bytes] of Object.entries(files)) await put(one, name, bytes);
      return names.map((path, index) => call(`call_${index}`, "read_file", { path }));
    }
    return end("seen");
  });
  return one;
}

async function put({ kernel, folder }: Talk, name: string, bytes: Uint8Array) {
  const { id } = await kernel.read.selectFrom("trees").select("id").orderBy("id", "desc")
    .executeTakeFirstOrThrow();
  await Deno.mkdir(`${folder}/workspaces/${id}`, { recursive: true });
  await Deno.writeFile(`${folder}/workspaces/${id}/${name}`, bytes);
}

/** The results as the model was sent them. */
function results({ asked }: Talk): Block[] {
  return asked[1].body.messages.at(-1).content;
}

Deno.test("a picture and a PDF that are read reach the model as blocks of the tool's result", async () => {
  await using one = reading({ "a.png": PNG, "b.pdf": PDF });
  assert.equal((await one.run("look")).result, "seen");
  const [picture, document] = results(one);
  assert.deepEqual(picture.content, [
    { type: "text", text: `a.png: image/png, ${PNG.length} bytes` },
    {
      type: "image",
      source: { type: "base64", media_type: "image/png", data: PNG.toBase64() },
    },
  ]);
  assert.deepEqual((document.content as Block[])[1], {
    type: "document",
    source: { type: "base64", media_type: "application/pdf", data: PDF.toBase64() },
  });
});

Deno.test("what stands in a picture's bytes is in no journal, and the same picture is kept once", async () => {
  await using one = reading({ "a.png": PNG, "same.png": PNG });
  const { id } = await one.run("look twice");
  for (const reply of await replies(one.kernel, id)) {
    assert.ok(!JSON.stringify(reply).includes(PNG.toBase64()));
  }
  const kept = await one.kernel.read.selectFrom("media").select("hash")
    .where("base64", "=", PNG.toBase64()).execute();
  assert.equal(kept.length, 1);
  assert.equal(results(one).length, 2);
});

Deno.test("a picture can be looked at under its own address, and what is not there is not found", async () => {
  await using one = reading({ "a.png": PNG });
  await one.run("look");
  const [{ hash }] = await one.kernel.read.selectFrom("media").select("hash")
    .where("base64", "=", PNG.toBase64()).execute();
  const app = createApp(one.kernel, { host: "127.0.0.1", admin_token: null });
  const get = (path: string) => app.request(path, { headers: { host: "127.0.0.1" } });
  const found = await get(`/media/${hash}`);
  assert.equal(found.headers.get("content-type"), "image/png");
  assert.equal(found.headers.get("x-content-type-options"), "nosniff");
  assert.deepEqual(await found.bytes(), PNG);
  assert.equal((await get(`/media/${hash}0`)).status, 404);
});

Deno.test("a picture that is too large, and bytes that are neither text nor picture, are errors that say so", async () => {
  const large = new Uint8Array(MEDIA_BYTES_MAX + 1);
  large.set(PNG);
  await using one = reading({
    "large.png": large,
    "other.bin": new Uint8Array([0xff, 0, 1]),
  });
  await one.run("look");
  const said = results(one).map(({ content, is_error }) => `${is_error}: ${content}`);
  assert.match(said[0], new RegExp(`true: large.png has ${large.length} bytes, more than`));
  assert.match(said[1], /true: other.bin is not text/);
});
