/** What descriptors leave for streams. */
import assert from "node:assert/strict";
import { streamsMax } from "../../runtime/core/descriptors.ts";
import { STREAMS_LEAST, STREAMS_MAX } from "../../runtime/core/limits.ts";

Deno.test("streams leave the descriptors that agents at work need", () => {
  // Eight cells, sixteen tool cells and eight workspaces of four each, three model calls, and 128 for all else.
  assert.equal(streamsMax(1_024, 3), 1_024 - 32 * 4 - 3 - 128);
});

Deno.test("streams have their own limit where descriptors are plenty", () => {
  assert.equal(streamsMax(1_048_576, 3), STREAMS_MAX);
});

Deno.test("a few streams are possible where descriptors are scarce", () => {
  assert.equal(streamsMax(256, 1_000), STREAMS_LEAST);
});
