/**
 * The gateway actor, seen from the kernel: the one door to a model. It is a Web Worker of its own, so
 * that the model's key and network will be there and nowhere else.
 */
import type { ModelReply, ModelRequest } from "../core/model.ts";
import type { Playbook } from "../core/offline.ts";
import type { Child } from "../supervisor.ts";
import { SystemWorker } from "../system_worker.ts";

export interface Gateway {
  /**
   * Asks the model.
   * @throws {Error} when the gateway dies or the call is called off; asking again is harmless
   */
  ask(request: ModelRequest, signal: AbortSignal): Promise<ModelReply>;
}

export type GatewayRequest =
  | { readonly type: "open"; readonly playbooks: readonly Playbook[] }
  | { readonly type: "ask"; readonly request: ModelRequest };

/** A gateway that the supervisor may restart under the one door. */
export class GatewayDoor implements Gateway {
  #worker: SystemWorker | null = null;

  constructor(readonly playbooks: readonly Playbook[]) {}

  /** The starter of the supervision tree's `gateway` child. */
  async open(): Promise<Child> {
    const worker = new SystemWorker(
      "gateway",
      import.meta.resolve("./gateway_worker.ts"),
      "none",
    );
    await worker.ask({ type: "open", playbooks: this.playbooks } satisfies GatewayRequest);
    this.#worker = worker;
    return worker;
  }

  async ask(request: ModelRequest, signal: AbortSignal): Promise<ModelReply> {
    if (!this.#worker) throw new Error("The gateway is not running");
    const body: GatewayRequest = { type: "ask", request };
    return await this.#worker.ask(body, signal) as ModelReply;
  }
}
