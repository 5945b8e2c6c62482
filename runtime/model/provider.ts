/**
 * Asks a provider's model through the Anthropic SDK: one streamed call, in the order and with the
 * marks that keep the provider's prompt cache warm. Runs inside the gateway's worker.
 */
import Anthropic from "@anthropic-ai/sdk";
import { WEB_FETCH_TOKENS_MAX, WEB_USES_MAX } from "../core/limits.ts";
import type {
  LastingFailure,
  ModelReply,
  ModelRequest,
  Piece,
  Provider,
} from "../core/model/messages.ts";
import type { Patience } from "../core/model/patience.ts";
import { ReplyReader, type StreamEvent } from "../core/model/reply.ts";
import { LIMITED, type RateLimits } from "../core/model/throttle.ts";
import { reasonOf } from "../core/reason.ts";

/** What a call tells on its way. */
export interface Heard {
  onPiece(piece: Piece): void;
  /** The provider has answered, and these are its limits now. */
  onLimits(limits: RateLimits): void;
}

/** Makes one attempt of a call. Throws a `ProviderFault` when it fails. */
export type Attempt = (
  request: ModelRequest,
  signal: AbortSignal,
  listening: Heard,
) => Promise<ModelReply>;

/** A failed attempt: whether it may be made again, and what it says about the provider. */
export class ProviderFault extends Error {
  override name = "ProviderFault";
  constructor(
    message: string,
    readonly concerns: LastingFailure["concerns"] | "again",
    readonly retry_after_ms: number | null = null,
    /** Its limits are used up: no failure of its own. */
    readonly limited = false,
  ) {
    super(message);
  }
}

type Params = Anthropic.MessageCreateParamsStreaming;

/** A client for this provider. */
export function connect({ base_url, models }: Provider, key: string, patience: Patience): Attempt {
  const hide = (text: string) => key === NO_KEY ? text : text.replaceAll(key, "…");
  return async (request, signal, { onPiece, onLimits }) => {
    const watch = new Watchdog(patience);
    const client = new Anthropic({
      apiKey: key,
      baseURL: base_url,
      // Waiting and trying again is the lane's business, for all calls together.
      maxRetries: 0,
      logLevel: "off",
      fetch: watch.fetch,
    });
    try {
      const { data, response } = await client.messages
        .create(paramsOf(request, models), { signal: AbortSignal.any([signal, watch.signal]) })
        .withResponse();
      onLimits(limitsOf(response.headers));
      const reader = new ReplyReader();
      for await (const event of data) {
        // The reader takes what comes as it comes, beyond what the SDK knows, and checks what it uses.
        for (const piece of reader.take(event as unknown as StreamEvent)) onPiece(piece);
      }
      // The SDK ends a stream that was called off as if it were over.
      signal.throwIfAborted();
      watch.signal.throwIfAborted();
      return reader.finish();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (watch.signal.aborted) throw watch.signal.reason;
      if (error instanceof Anthropic.APIError && error.headers) onLimits(limitsOf(error.headers));
      throw faultOf(error, hide);
    } finally {
      watch.end();
    }
  };
}

/** Servers of one's own often want no key, but the SDK does. */
export const NO_KEY = "none";

/** Aborts when no byte came for too long. A ping is a sign of life, which the SDK keeps to itself. */
class Watchdog {
  readonly #silence = new AbortController();
  readonly #patience: Patience;
  #timer: ReturnType<typeof setTimeout>;

  constructor(patience: Patience) {
    this.#patience = patience;
    this.#timer = this.#wait(patience.first_byte_ms);
  }

  get signal(): AbortSignal {
    return this.#silence.signal;
  }

  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await fetch(input, init);
    if (!response.body) return response;
    const alive = () => {
      clearTimeout(this.#timer);
      this.#timer = this.#wait(this.#patience.silence_ms);
    };
    const body = response.body.pipeThrough(
      new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform(chunk, controller) {
          alive();
          controller.enqueue(chunk);
        },
      }),
      // Deno's fetch misses an abort now and then when another request ends just then; this does not.
      { signal: init?.signal ?? undefined },
    );
    const { status, statusText, headers } = response;
    return new Response(body, { status, statusText, headers });
  };

  end(): void {
    clearTimeout(this.#timer);
  }

  #wait(ms: number): ReturnType<typeof setTimeout> {
    // The fault is made when it happens: a trace of the stack for every chunk would cost more than the rest.
    const late = () => new ProviderFault(`The model said nothing for ${ms / 1000} s`, "again");
    return setTimeout(() => this.#silence.abort(late()), ms);
  }
}

/**
 * The request as the API wants it. Tools, system and the last two turns end in a cache breakpoint, four
 * in all, as many as the API allows: each turn finds all but its newest part in the cache.
 */
export function paramsOf(request: ModelRequest, models: Provider["models"]): Params {
  const turns = request.messages.flatMap(({ role }, index) => role === "user" ? [index] : []);
  const marked = new Set(turns.slice(-2));
  return {
    model: models[request.model],
    max_tokens: request.max_tokens,
    stream: true,
    tools: withBreakpoint<object>([...request.web ? WEB_TOOLS : [], ...request.tools]),
    ...request.calls ? {} : { tool_choice: { type: "none" } },
    system: withBreakpoint(request.system),
    messages: request.messages.map(({ role, content }, index) => ({
      role,
      content: marked.has(index) ? withBreakpoint<object>(content) : content,
    })),
    // Blocks of a journal are given back as they came, which the SDK has no type for.
  } as unknown as Params;
}

/** The provider's own tools, in the versions that need nothing else. */
const WEB_TOOLS: readonly object[] = [
  { type: "web_search_20250305", name: "web_search", max_uses: WEB_USES_MAX },
  {
    type: "web_fetch_20250910",
    name: "web_fetch",
    max_uses: WEB_USES_MAX,
    max_content_tokens: WEB_FETCH_TOKENS_MAX,
  },
];

function withBreakpoint<Block extends object>(blocks: readonly Block[]): Block[] {
  return blocks.map((block, index) =>
    index === blocks.length - 1 ? { ...block, cache_control: { type: "ephemeral" } } : block
  );
}

/** What the provider's answer says about its limits; nothing where it says nothing. */
function limitsOf(headers: Headers): RateLimits {
  const limits: RateLimits = {};
  for (const kind of LIMITED) {
    const of = (field: string) =>
      headers.get(`anthropic-ratelimit-${kind.replace("_", "-")}-${field}`);
    const [limit, remaining] = [Number(of("limit") ?? NaN), Number(of("remaining") ?? NaN)];
    const full_at = Date.parse(of("reset") ?? "");
    if (limit >= 0 && remaining >= 0 && !Number.isNaN(full_at)) {
      limits[kind] = { limit, remaining, full_at };
    }
  }
  return limits;
}

/** What a failed attempt means. */
function faultOf(error: unknown, hide: (text: string) => string): ProviderFault {
  if (error instanceof ProviderFault) return error;
  if (!(error instanceof Anthropic.APIError)) {
    // No answer of the provider's: its stream broke off, or was no stream of events.
    return new ProviderFault(hide(inWords(error)), "again");
  }
  const said = hide(messageOf(error));
  const status = error.status ?? STATUS[error.type ?? ""];
  const retry_after_ms = retryAfter(error.headers);
  if ((status === 400 || status === 429) && SPENT.test(`${error.errorCode} ${said}`)) {
    return new ProviderFault(`The model's provider wants to be paid first: ${said}`, "tree");
  }
  switch (status) {
    case undefined:
      return new ProviderFault(`The model cannot be reached: ${said}`, "again");
    case 401:
    case 403: {
      const reason = `The model's provider does not accept the key (ANTHROPIC_API_KEY): ${said}`;
      return new ProviderFault(reason, "tree");
    }
    case 402:
      return new ProviderFault(`The model's provider wants to be paid first: ${said}`, "tree");
    case 404: {
      const reason = `The model's provider knows no such model (TROUPE_MODEL…): ${said}`;
      return new ProviderFault(reason, "task");
    }
    case 413:
      return new ProviderFault(
        `The prompt is too long for the model's provider: ${said}`,
        "too_long",
      );
    case 429: {
      const reason = `The model's provider asks for patience: ${said}`;
      return new ProviderFault(reason, "again", retry_after_ms, true);
    }
    case 400:
      if (BILLING.test(said)) {
        return new ProviderFault(`The model's provider wants to be paid first: ${said}`, "tree");
      }
      if (TOO_LONG.test(said)) {
        return new ProviderFault(
          `The prompt is too long for the model's provider: ${said}`,
          "too_long",
        );
      }
      break;
    case 408:
    case 409:
      return new ProviderFault(
        `The model's provider answered ${status}: ${said}`,
        "again",
        retry_after_ms,
      );
  }
  const reason = `The model's provider answered ${status}: ${said}`;
  return status >= 500
    ? new ProviderFault(reason, "again", retry_after_ms)
    : new ProviderFault(reason, "task");
}

/** Errors in the middle of a stream have a type and no status. */
const STATUS: Readonly<Record<string, number | undefined>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

/** A limit of what may be spent is one that no waiting of minutes helps with, whatever its status. */
const SPENT = /spend_limit_reached|reached your .*API usage limits/;
/** An empty account and a long prompt are plain 400s, told apart by their words alone. */
const BILLING = /credit balance is too low|purchase credits/i;
const TOO_LONG = /too long|context (size|window|length)|maximum context|exceeds? .{0,40}context/i;

/** In ms; of a `retry-after` in seconds or as a date. */
function retryAfter(headers: Headers | undefined): number | null {
  const ms = Number(headers?.get("retry-after-ms") ?? NaN);
  if (ms >= 0) return ms;
  const said = headers?.get("retry-after");
  if (said === null || said === undefined) return null;
  const seconds = Number(said);
  const wait = Number.isNaN(seconds) ? Date.parse(said) - Date.now() : seconds * 1000;
  return wait >= 0 ? wait : null;
}

function messageOf(error: InstanceType<typeof Anthropic.APIError>): string {
  let { cause } = error;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  return error.apiMessage ?? `${error.message}${why}`;
}

function inWords(error: unknown): string {
  if (error instanceof SyntaxError) return `The model's stream is malformed: ${error.message}`;
  const message = reasonOf(error);
  return /^The model/.test(message) ? message : `The model's stream broke off: ${message}`;
}
