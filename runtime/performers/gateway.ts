/**
 * The gateway actor, seen from the kernel: the one door to a model. It is a Web Worker of its own, so
 * that the model's key and network are there and nowhere else.
 */
import { SDK_VARIABLES } from "../core/launch.ts";
import type { ModelFailure, ModelReply, ModelRequest, Provider } from "../core/model.ts";
import type { Playbook } from "../core/offline.ts";
import type { Child } from "../supervisor.ts";
import { SystemWorker } from "../system_worker.ts";

export interface Gateway {
  /**
   * Asks the model.
   * @param onText called with each piece of the reply's text as it comes
   * @throws {Error} when the gateway dies, the provider fails in a way that may pass, or the call is
   *   called off; asking again is harmless
   */
  ask(
    request: ModelRequest,
    signal: AbortSignal,
    onText: (text: string) => void,
  ): Promise<ModelReply | ModelFailure>;
}

export type GatewayRequest =
  | {
    readonly type: "open";
    readonly playbooks: readonly Playbook[];
    readonly provider: Provider | null;
  }
  | { readonly type: "ask"; readonly request: ModelRequest };

/** A gateway that the supervisor may restart under the one door. */
export class GatewayDoor implements Gateway {
  #worker: SystemWorker | null = null;

  /** @param provider null for the offline model */
  constructor(readonly playbooks: readonly Playbook[], readonly provider: Provider | null) {}

  /** The starter of the supervision tree's `gateway` child. */
  async open(): Promise<Child> {
    const { playbooks, provider } = this;
    const module = import.meta.resolve("./gateway_worker.ts");
    const worker = new SystemWorker("gateway", module, permissions(provider));
    await worker.ask({ type: "open", playbooks, provider } satisfies GatewayRequest);
    this.#worker = worker;
    return worker;
  }

  async ask(
    request: ModelRequest,
    signal: AbortSignal,
    onText: (text: string) => void,
  ): Promise<ModelReply | ModelFailure> {
    if (!this.#worker) throw new Error("The gateway is not running");
    const body: GatewayRequest = { type: "ask", request };
    const onPiece = (piece: unknown) => onText(piece as string);
    return await this.#worker.ask(body, signal, onPiece) as ModelReply | ModelFailure;
  }
}

/** The provider's host, the key, and what the SDK looks up when it loads. */
function permissions(provider: Provider | null): Deno.PermissionOptions {
  if (!provider) return "none";
  const { host, port, protocol } = new URL(provider.base_url);
  return {
    net: [port ? host : `${host}:${protocol === "https:" ? 443 : 80}`],
    env: [...SDK_VARIABLES],
  };
}
