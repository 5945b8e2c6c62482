/** What is kept of what a process prints, and when all of it is there. */
import assert from "node:assert/strict";
import { Printed } from "../../runtime/confined/printed.ts";
import { CELL_LOG_BYTES_MAX, CELL_LOG_DRAINED_MAX } from "../../runtime/core/limits.ts";
import { until } from "../support/until.ts";

const MARK = "0f6e2c1a-mark";

/** A process with two outputs that the test prints on. */
function process() {
  const encoder = new TextEncoder();
  const controllers: ReadableStreamDefaultController<Uint8Array>[] = [];
  const outputs = [0, 1].map(() =>
    new ReadableStream<Uint8Array>({ start: (controller) => void controllers.push(controller) })
  );
  const pauses: (() => void)[] = [];
  const heard = { text: "", complete: false };
  const printed = new Printed(
    outputs,
    (text) => heard.text += text,
    () => new Promise<void>((resolve) => pauses.push(resolve)),
  );
  return {
    ...{ heard, pauses, printed },
    print: (output: number, text: string) => controllers[output].enqueue(encoder.encode(text)),
    close: (output: number) => controllers[output].close(),
    mark: () => void printed.until(MARK).then(() => heard.complete = true),
  };
}

Deno.test("all that was printed before the marks is there when both have come, and they are no part of it", async () => {
  const { heard, print, mark } = process();
  print(0, "started ");
  mark();
  print(0, "out");
  print(0, MARK);
  print(1, `err${MARK}`);
  await until("both marks", () => heard.complete);
  assert.match(heard.text, /^started (outerr|errout)$/);
});

Deno.test("a mark that comes in pieces, with the other output between them, is found and left out", async () => {
  const { heard, print, mark } = process();
  mark();
  for (const [at, character] of [...`a0f6${MARK}`].entries()) {
    print(0, character);
    if (at < 5) print(1, "b");
  }
  await until("the first", () => heard.text.replaceAll("b", "") === "a0f6");
  assert.equal(heard.complete, false);
  print(1, MARK);
  await until("the second", () => heard.complete);
  assert.equal(heard.text.replaceAll("b", ""), "a0f6");
});

Deno.test("what is printed after a mark is kept no more", async () => {
  const { heard, print, close, mark, printed } = process();
  mark();
  print(0, `a${MARK}b`);
  print(0, "c");
  close(0);
  close(1);
  await printed.closed;
  assert.deepEqual(heard, { text: "a", complete: true });
});

Deno.test("an output that is closed without a mark is not waited for, and its last words are kept", async () => {
  const { heard, print, close, mark } = process();
  mark();
  print(0, `a${MARK}`);
  print(1, "b0f6e");
  close(1);
  await until("its end", () => heard.complete);
  assert.equal(heard.text.length, 6);
});

Deno.test("who prints more than is kept is not waited for", async () => {
  const { heard, print, mark } = process();
  mark();
  print(0, "x".repeat(CELL_LOG_BYTES_MAX + 1));
  await until("enough", () => heard.complete);
  assert.equal(heard.text.length, CELL_LOG_BYTES_MAX);
});

Deno.test("who prints on and on has to wait, and is read again after that", async () => {
  const { print, pauses } = process();
  print(0, "x".repeat(CELL_LOG_DRAINED_MAX + 1));
  await until("a pause", () => pauses.length === 1);
  print(0, "x".repeat(CELL_LOG_DRAINED_MAX + 1));
  pauses[0]();
  await until("another one", () => pauses.length === 2);
});
