/**
 * A model for the benches, in a process of its own: says its address on standard output. A task of
 * `instant` is answered at once; any other streams a word every 20 ms for forty seconds, the first one after
 * three seconds. Each word is the moment at which it left, in ms since 1970.
 */
import { call, events, messagesServer, openStream } from "../support/messages_server.ts";

const WORDS = 2_000;
const EVERY_MS = 20;
const FIRST_MS = 3_000;

const done = events([call("call_end", "end_task", { status: "success", result: "over" })], "x");
const begun = events([{ type: "text", text: "" }], "tool_use").slice(0, 2);

const server = messagesServer(({ task }) => {
  if (task === "instant") return [call("call_end", "end_task", { status: "success", result: "" })];
  const stream = openStream(begun);
  let said = 0;
  const say = () => {
    if (said++ === WORDS) {
      // The text's end, the last call as a second block, and the reply's end.
      const shifted = done.slice(1, -2).map(([type, data]): [string, unknown] => [
        type,
        { ...data as object, index: 1 },
      ]);
      const [delta, stop] = events([], "tool_use").slice(-2);
      stream.say([["content_block_stop", { index: 0 }], ...shifted, delta, stop]);
      return stream.end();
    }
    const delta = { type: "text_delta", text: `${Date.now()} ` };
    stream.say([["content_block_delta", { index: 0, delta }]]);
    setTimeout(say, EVERY_MS);
  };
  setTimeout(say, FIRST_MS);
  return stream.response;
});
console.log(server.url);
