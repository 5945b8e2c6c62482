/** The memory between a cell and a worker, with a real worker on the other side. */
import assert from "node:assert/strict";
import { FRAME_BYTES_MAX } from "../../runtime/core/limits.ts";
import { Inbox } from "../../runtime/cells/inbox.ts";
import { until } from "../support/until.ts";

/** A worker that posts back whatever it is handed. */
function echo() {
  const source = `
    import { Inbox } from "${import.meta.resolve("../../runtime/cells/inbox.ts")}";
    self.onmessage = ({ data }) => {
      for (const message of new Inbox(data).messages()) self.postMessage(message);
      self.postMessage("stopped");
    };`;
  const worker = new Worker(`data:application/javascript,${encodeURIComponent(source)}`, {
    type: "module",
  });
  const inbox = new Inbox();
  const answers: (string | null)[] = [];
  worker.onmessage = ({ data }) => answers.push(data);
  worker.postMessage(inbox.memory);
  const put = (text: string) => inbox.put(new TextEncoder().encode(text));
  return {
    inbox,
    answers,
    put,
    answered: (count: number) => until(`${count} answers`, () => answers.length === count),
    [Symbol.dispose]: () => {
      inbox.stop();
      worker.terminate();
    },
  };
}

Deno.test("messages arrive in the inbox as they were put, the largest included", async () => {
  using worker = echo();
  const messages = ["{}", "ünï😀", "x".repeat(FRAME_BYTES_MAX), "short again"];
  for (const [index, message] of messages.entries()) {
    worker.put(message);
    await worker.answered(index + 1);
  }
  assert.deepEqual(worker.answers, messages);
});

Deno.test("a message that is put before the worker has started is not lost", async () => {
  using worker = echo();
  worker.put("early");
  await worker.answered(1);
  assert.deepEqual(worker.answers, ["early"]);
});

Deno.test("a worker that is woken for nothing sleeps on", async () => {
  using worker = echo();
  worker.inbox.ping();
  await worker.answered(1);
  const head = new Int32Array(worker.inbox.memory, 0, 1);
  await until("a sleeper that is woken", () => Atomics.notify(head, 0) === 1);
  await until("its going back to sleep", () => Atomics.notify(head, 0) === 1);
  worker.put("something");
  await worker.answered(2);
  assert.deepEqual(worker.answers, [null, "something"]);
});

Deno.test("a stopped inbox sends its worker back to the event loop", async () => {
  using worker = echo();
  worker.inbox.ping();
  await worker.answered(1);
  worker.inbox.stop();
  await worker.answered(2);
  assert.deepEqual(worker.answers, [null, "stopped"]);
});
