/**
 * A server on loopback that speaks as much of the Messages API as the tests need, faults included. Below
 * HTTP it can fail too: `rawServer` says bytes and hangs up.
 */

import assert from "node:assert/strict";

/** A request as it arrived. */
export interface Asked {
  readonly path: string;
  readonly headers: Headers;
  /** When it arrived, by `performance.now()`. */
  readonly at: number;
  // deno-lint-ignore no-explicit-any -- the tests look at what was really sent
  readonly body: any;
  /** Name of the agent in the prompt. */
  readonly agent: string;
  /** Its task. */
  readonly task: string;
  /** Turns that it has taken before. */
  readonly turn: number;
}

export interface Block {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface MessagesServer extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
}

/** What a request is answered with: content blocks, or a response of its own. */
export type Answer = (asked: Asked) => readonly Block[] | Response | Promise<Block[] | Response>;

/** @param port a free one when left out */
export function messagesServer(answer: Answer, port = 0): MessagesServer {
  const asked: Asked[] = [];
  const closing = new AbortController();
  const server = Deno.serve(
    { port, hostname: "127.0.0.1", onListen: () => {}, signal: closing.signal },
    async (request) => {
      const at = performance.now();
      const body = await request.json();
      const system = body.system.map(({ text }: { text: string }) => text).join("\n");
      const one: Asked = {
        path: new URL(request.url).pathname,
        headers: request.headers,
        at,
        body,
        agent: /<agent>([^<]*)</.exec(system)?.[1] ?? "",
        task: /<task [^>]*>([^<]*)</.exec(system)?.[1] ?? "",
        turn: body.messages.filter(({ role }: { role: string }) => role === "assistant").length,
      };
      asked.push(one);
      const answered = await answer(one);
      return answered instanceof Response ? answered : reply(answered);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    asked,
    // Not politely: a stream that nobody reads any more would be waited for.
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await server.finished;
    },
  };
}

/** A whole streamed reply. */
export function reply(
  blocks: readonly Block[],
  stop_reason?: string,
  input_tokens?: number,
  output_tokens?: number,
): Response {
  const calls = blocks.some(({ type }) => type === "tool_use");
  const stop = stop_reason ?? (calls ? "tool_use" : "end_turn");
  return stream(events(blocks, stop, input_tokens, output_tokens));
}

/** The events of a reply, in order. */
export function events(
  blocks: readonly Block[],
  stop_reason: string,
  input_tokens = 7,
  output_tokens = 5,
): [string, unknown][] {
  const usage = { input_tokens, output_tokens: 1, cache_read_input_tokens: 3 };
  const message = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "model-of-the-test",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  };
  return [
    ["message_start", { message }],
    ...blocks.flatMap((block, index): [string, unknown][] => [
      ["content_block_start", { index, content_block: begun(block) }],
      ...deltas(block).map((delta): [string, unknown] => ["content_block_delta", { index, delta }]),
      ["content_block_stop", { index }],
    ]),
    ["message_delta", {
      delta: { stop_reason, stop_sequence: null },
      usage: { output_tokens },
    }],
    ["message_stop", {}],
  ];
}

export function stream(all: readonly [string, unknown][], end = ""): Response {
  return new Response(bytesOf(all) + end, { headers: STREAM });
}

const STREAM = { "content-type": "text/event-stream" };

/** Events as they stand in a stream. */
export function bytesOf(all: readonly [string, unknown][]): string {
  return all.map(([type, data]) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...data as object })}\n\n`
  ).join("");
}

/** A stream that stays open after what it begins with. */
export interface OpenStream {
  readonly response: Response;
  /** Whether whoever asked has hung up. */
  left(): boolean;
  say(more: readonly [string, unknown][]): void;
  end(): void;
}

export function openStream(first: readonly [string, unknown][]): OpenStream {
  let left = false;
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const say = (some: readonly [string, unknown][]) =>
    controller.enqueue(new TextEncoder().encode(bytesOf(some)));
  const body = new ReadableStream<Uint8Array>({
    start: (opened) => {
      controller = opened;
      if (first.length > 0) say(first);
    },
    cancel: () => void (left = true),
  });
  return {
    response: new Response(body, { headers: STREAM }),
    left: () => left,
    say,
    end: () => controller.close(),
  };
}

/** An error of the API's. @param headers in place of one that asks for no pause */
export function failure(
  status: number,
  type: string,
  message: string,
  headers: Record<string, string> = { "retry-after-ms": "1" },
  details?: object,
): Response {
  return Response.json({ type: "error", error: { type, message, details } }, { status, headers });
}

export interface RawServer extends AsyncDisposable {
  readonly url: string;
}

/**
 * A server that gets each connection as it is, before anything of the request was read. A connection
 * that is closed with something unread is reset; one that was read is ended.
 */
export function rawServer(answer: (connection: Deno.TcpConn) => Promise<void>): RawServer {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const served = (async () => {
    for await (const connection of listener) await answer(connection);
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await served;
    },
  };
}

export function call(id: string, name: string, input: unknown): Block {
  return { type: "tool_use", id, name, input };
}

export function text(text: string): Block {
  return { type: "text", text };
}

function begun(block: Block): Block {
  if (block.type === "text") return { ...block, text: "" };
  if (block.type === "tool_use") return { ...block, input: {} };
  return block.type === "thinking" ? { ...block, thinking: "", signature: "" } : block;
}

/** In two pieces, as a stream comes. */
function deltas(block: Block): unknown[] {
  const halves = (whole: string) => {
    const middle = Math.floor(whole.length / 2);
    return [whole.slice(0, middle), whole.slice(middle)];
  };
  switch (block.type) {
    case "text":
      return halves(block.text as string).map((text) => ({ type: "text_delta", text }));
    case "tool_use":
      return halves(JSON.stringify(block.input)).map((partial_json) => ({
        type: "input_json_delta",
        partial_json,
      }));
    case "thinking":
      return [
        { type: "thinking_delta", thinking: block.thinking },
        { type: "signature_delta", signature: block.signature },
      ];
    default:
      return [];
  }
}

/**
 * Users and assistants take turns, the user first; each call has its result in the next message, in its
 * order and before anything else; and no result is without its call.
 */
export function assertPaired(messages: { role: string; content: Block[] }[]): void {
  let calls: unknown[] = [];
  messages.forEach(({ role, content }, index) => {
    assert.equal(role, index % 2 === 0 ? "user" : "assistant");
    const results = content.flatMap(({ type, tool_use_id }) =>
      type === "tool_result" ? [tool_use_id] : []
    );
    assert.deepEqual(results, calls);
    assert.ok(content.slice(0, calls.length).every(({ type }) => type === "tool_result"));
    calls = content.flatMap(({ type, id }) => type === "tool_use" ? [id] : []);
  });
}
