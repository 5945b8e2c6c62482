/** Inside the gateway's Web Worker: the offline model. It needs no permission at all. */
import { answerOffline, type Playbook } from "../core/offline.ts";
import { serve } from "../system_worker.ts";
import type { GatewayRequest } from "./gateway.ts";

let playbooks: readonly Playbook[] = [];

serve((body) => {
  const asked = body as GatewayRequest;
  switch (asked.type) {
    case "open":
      playbooks = asked.playbooks;
      return Promise.resolve(null);
    case "ask": {
      const reply = answerOffline(asked.request, playbooks);
      // A playbook may ask for silence: that is what the watch for stuck tasks is there for.
      return reply ? Promise.resolve(reply) : new Promise(() => {});
    }
  }
});
