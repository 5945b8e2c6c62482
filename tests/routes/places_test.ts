/** Streams of pages and of the API share their places, and give them back however they end. */
import assert from "node:assert/strict";
import { treeEvents } from "../../routes/api/events.ts";
import { createApp } from "../../routes/app.ts";
import { PageStreams } from "../../routes/frame/stream.ts";
import { Places } from "../../routes/http/places.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { Drafts } from "../../runtime/passing/drafts.ts";
import { Events } from "../../runtime/passing/events.ts";
import { tempFolder } from "../support/folder.ts";
import { beginActor, startKernel } from "../support/kernel.ts";
import { tempStore } from "../support/store.ts";

const KINDS = { workflow: import.meta.resolve("../bench/workflow.ts") };

Deno.test("who finds every stream taken is told when to come back, and gets the place of one who left", async () => {
  await using folder = await tempFolder();
  const kernel = await startKernel(folder.path, KINDS);
  try {
    const { tree_id } = await beginActor(kernel, "workflow", { type: "step", left: 1 });
    const app = createApp(kernel, { host: "127.0.0.1", admin_token: null }, 1);
    const first = await app.request("/stream");
    assert.equal(first.status, 200);
    for (const path of ["/stream", `/trees/${tree_id}/stream`, `/api/trees/${tree_id}/events`]) {
      const response = await app.request(path);
      assert.equal(response.status, 503, path);
      assert.match(response.headers.get("retry-after")!, /^\d+$/);
      assert.equal(response.headers.get("connection"), "close");
      await response.body?.cancel();
    }
    await first.body!.cancel();
    const next = await app.request(`/api/trees/${tree_id}/events`);
    assert.equal(next.status, 200);
    await next.body!.cancel();
  } finally {
    await kernel.stop();
  }
});

Deno.test("a stream of events whose store fails gives its place back", async () => {
  await using db = await tempStore();
  await db.store.close();
  // Events take no more of a kernel.
  const kernel = { read: db.store.read, events: new Events(), drafts: new Drafts(() => {}) };
  const places = new Places(1);
  const response = treeEvents(kernel as unknown as Kernel, places, "tree", 0);
  assert.equal(places.taken, 1);
  await assert.rejects(response.text(), /The store is gone/);
  assert.equal(places.taken, 0);
});

Deno.test("a page whose reading fails gives the places of all its readers back", async () => {
  const places = new Places(2);
  const page = {
    changes: () => Promise.reject(new Error("the store is gone")),
    whole: () => Promise.resolve([]),
  };
  const streams = new PageStreams(new Events(), places);
  const readers = [1, 2].map(() => streams.open("topic", () => page)!);
  assert.equal(streams.open("topic", () => page), null);
  for (const response of readers) await assert.rejects(response.text(), /the store is gone/);
  assert.equal(places.taken, 0);
});
