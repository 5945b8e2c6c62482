/** Inside the gateway's Web Worker: the provider's model, or the offline model. */
import type { ModelCall, Provider } from "../core/model/messages.ts";
import { answerOffline, OFFLINE, type Playbook } from "../core/model/offline.ts";
import type { Patience } from "../core/model/patience.ts";
import { type Gateway, systemClock } from "../ports.ts";
import { serve } from "./system_worker.ts";
import type { Cassette } from "./cassette.ts";
import type { Lanes } from "./lanes.ts";

export type GatewayRequest =
  | {
    readonly type: "open";
    readonly playbooks: readonly Playbook[];
    readonly provider: Provider | null;
    readonly patience: Patience;
    readonly cassette: Cassette | null;
    readonly calls_max: Readonly<Record<string, number | undefined>>;
  }
  | { readonly type: "ask"; readonly call: ModelCall }
  | { readonly type: "views" };

let ask: Gateway["ask"] | null = null;
let lanes: Lanes | null = null;

serve(async (body, { signal, tell }) => {
  // Its one caller is the door, which sends nothing else.
  const asked = body as GatewayRequest;
  switch (asked.type) {
    case "open":
      ask = await answering(asked);
      return null;
    case "ask":
      return await ask!(asked.call, signal, tell);
    case "views":
      return lanes?.views() ?? [];
  }
});

type Opening = Extract<GatewayRequest, { type: "open" }>;

async function answering(opening: Opening): Promise<Gateway["ask"]> {
  const { provider, cassette } = opening;
  if (!cassette) return await asking(opening);
  const { playing, recording } = await import("./cassette.ts");
  if (cassette.mode === "replay") return await playing(cassette.folder);
  const models = provider?.models ?? { fast: OFFLINE, default: OFFLINE, strong: OFFLINE };
  const key = provider ? Deno.env.get("ANTHROPIC_API_KEY") : null;
  return recording(await asking(opening), cassette.folder, models, key ? [key] : []);
}

async function asking(
  { playbooks, provider, patience, calls_max }: Opening,
): Promise<Gateway["ask"]> {
  if (!provider) {
    // A playbook may ask for silence: that is what the watch for stuck tasks is there for.
    return async ({ request }) =>
      answerOffline(request, playbooks) ?? await new Promise<never>(() => {});
  }
  // Loaded only where a model is connected: the SDK takes a while.
  const [{ connect, NO_KEY }, { Lanes }] = await Promise.all([
    import("./provider.ts"),
    import("./lanes.ts"),
  ]);
  const attempt = connect(provider, Deno.env.get("ANTHROPIC_API_KEY") || NO_KEY, patience);
  const one = lanes = new Lanes(
    attempt,
    provider.models,
    patience,
    systemClock,
    calls_max,
  );
  return (call, signal, onPiece) => one.ask(call, signal, onPiece);
}
