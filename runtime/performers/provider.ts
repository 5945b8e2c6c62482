/**
 * Asks a provider's model through the Anthropic SDK: one streamed call, in the order and with the
 * marks that keep the provider's prompt cache warm. Runs inside the gateway's worker.
 */
import Anthropic from "@anthropic-ai/sdk";
import { MODEL_ATTEMPTS_MAX, MODEL_OUTPUT_TOKENS_MAX, MODEL_SILENCE_MS } from "../core/limits.ts";
import type {
  Alias,
  ModelFailure,
  ModelReply,
  ModelRequest,
  Provider,
  ReplyBlock,
  StopReason,
} from "../core/model.ts";

export type AskProvider = (
  request: ModelRequest,
  signal: AbortSignal,
  onText: (text: string) => void,
) => Promise<ModelReply | ModelFailure>;

type Params = Anthropic.MessageStreamParams;

/** A client for this provider. */
export function connect({ base_url, models }: Provider, key: string): AskProvider {
  const client = new Anthropic({
    apiKey: key,
    baseURL: base_url,
    // Of 429, 529, 5xx and refused connections, with the server's own retry-after.
    maxRetries: MODEL_ATTEMPTS_MAX - 1,
    logLevel: "off",
  });
  const hide = (text: string) => key === "none" ? text : text.replaceAll(key, "…");
  return async (request, signal, onText) => {
    try {
      return await once(client, paramsOf(request, models), signal, onText);
    } catch (error) {
      if (signal.aborted) throw error;
      const reason = hide(reasonOf(error));
      if (mayPass(error)) throw new Error(reason);
      return { failed: reason };
    }
  };
}

async function once(
  client: Anthropic,
  params: Params,
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<ModelReply> {
  const silence = new AbortController();
  const listen = () => setTimeout(() => silence.abort(), MODEL_SILENCE_MS);
  let timer = listen();
  try {
    const stream = client.messages.stream(params, {
      signal: AbortSignal.any([signal, silence.signal]),
    });
    stream.on("text", onText);
    stream.on("streamEvent", () => {
      clearTimeout(timer);
      timer = listen();
    });
    const { model, content, stop_reason, usage } = await stream.finalMessage();
    return {
      model,
      content: whole(content as unknown as ReplyBlock[], stop_reason as StopReason),
      stop_reason: stop_reason as StopReason,
      usage: {
        input_tokens: usage.input_tokens + (usage.cache_read_input_tokens ?? 0) +
          (usage.cache_creation_input_tokens ?? 0),
        output_tokens: usage.output_tokens,
      },
    };
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    throw new Error(`The model said nothing for ${MODEL_SILENCE_MS / 1000} s`);
  } finally {
    clearTimeout(timer);
  }
}

/** A call that was cut off in its arguments is no call. */
function whole(content: ReplyBlock[], stop_reason: StopReason): ReplyBlock[] {
  const cut = stop_reason === "max_tokens" && content.at(-1)?.type === "tool_use";
  return cut ? content.slice(0, -1) : content;
}

/**
 * The request as the API wants it. Tools, system and the last two turns end in a cache breakpoint, four
 * in all, as many as the API allows: each turn finds all but its newest part in the cache.
 */
export function paramsOf(request: ModelRequest, models: Provider["models"]): Params {
  const turns = request.messages.flatMap(({ role }, index) => role === "user" ? [index] : []);
  const marked = new Set(turns.slice(-2));
  return {
    model: models[request.model as Alias],
    max_tokens: MODEL_OUTPUT_TOKENS_MAX,
    tools: withBreakpoint(request.tools),
    system: withBreakpoint(request.system),
    messages: request.messages.map(({ role, content }, index) => ({
      role,
      content: marked.has(index) ? withBreakpoint<object>(content) : content,
    })),
  } as unknown as Params;
}

function withBreakpoint<Block extends object>(blocks: readonly Block[]): Block[] {
  return blocks.map((block, index) =>
    index === blocks.length - 1 ? { ...block, cache_control: { type: "ephemeral" } } : block
  );
}

/** Whether the same call may succeed later. */
function mayPass(error: unknown): boolean {
  // No answer of the provider's: its stream broke off, stood still, or was no stream of events.
  if (!(error instanceof Anthropic.APIError)) return true;
  // Without a status the connection failed.
  return error.status === undefined || error.status === 429 || error.status >= 500;
}

/** One sentence for a person: what the provider said, and what to do about it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Anthropic.APIError)) return (error as Error).message;
  const said = messageOf(error);
  switch (error.status) {
    case undefined:
      return `The model cannot be reached: ${said}`;
    case 401:
    case 403:
      return `The model's provider does not accept the key (ANTHROPIC_API_KEY): ${said}`;
    case 402:
      return `The model's provider wants to be paid first: ${said}`;
    case 404:
      return `The model's provider knows no such model (TROUPE_MODEL…): ${said}`;
    case 413:
      return `The prompt is too long for the model's provider: ${said}`;
    case 429:
      return `The model's provider asks for patience: ${said}`;
    default:
      return `The model's provider answered ${error.status}: ${said}`;
  }
}

function messageOf(error: InstanceType<typeof Anthropic.APIError>): string {
  const body = error.error as { error?: { message?: unknown } } | undefined;
  const message = body?.error?.message;
  return typeof message === "string" ? message : error.message;
}
