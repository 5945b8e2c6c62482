/** Inside the gateway's Web Worker: the provider's model, or the offline model. */
import { answerOffline, type Playbook } from "../core/offline.ts";
import { serve } from "../system_worker.ts";
import type { GatewayRequest } from "./gateway.ts";
import type { AskProvider } from "./provider.ts";

let playbooks: readonly Playbook[] = [];
let provider: AskProvider | null = null;

serve(async (body, { signal, tell }) => {
  const asked = body as GatewayRequest;
  switch (asked.type) {
    case "open":
      playbooks = asked.playbooks;
      // Loaded only where a model is connected: the SDK takes a while.
      if (asked.provider) {
        provider = (await import("./provider.ts")).connect(asked.provider, key());
      }
      return null;
    case "ask": {
      if (provider) return await provider(asked.request, signal, tell);
      const reply = answerOffline(asked.request, playbooks);
      // A playbook may ask for silence: that is what the watch for stuck tasks is there for.
      return reply ?? await new Promise(() => {});
    }
  }
});

/** Servers of one's own often want none, but the SDK does. */
function key(): string {
  return Deno.env.get("ANTHROPIC_API_KEY") || "none";
}
