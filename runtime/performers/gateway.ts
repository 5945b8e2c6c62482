/**
 * The gateway actor, seen from the kernel: the one door to a model. It is a Web Worker of its own, so
 * that the model's key and network are there and nowhere else.
 */
import { SDK_VARIABLES } from "../core/launch.ts";
import type { ModelCall, ModelFailure, ModelReply, Piece, Provider } from "../core/model.ts";
import type { Playbook } from "../core/offline.ts";
import type { Child } from "../supervisor.ts";
import { SystemWorker } from "../system_worker.ts";
import type { LaneView } from "./lane.ts";
import type { Patience } from "./provider.ts";

export interface Gateway {
  /**
   * Asks the model.
   * @param onPiece called with each piece of the reply as it comes
   * @throws {Error} when the gateway dies or the call is called off; asking again is harmless
   */
  ask(
    call: ModelCall,
    signal: AbortSignal,
    onPiece: (piece: Piece) => void,
  ): Promise<ModelReply | ModelFailure>;
  /** How each model that was asked for is doing; empty for the offline model. */
  views(): Promise<readonly LaneView[]>;
}

export type GatewayRequest =
  | {
    readonly type: "open";
    readonly playbooks: readonly Playbook[];
    readonly provider: Provider | null;
    readonly patience: Partial<Patience>;
  }
  | { readonly type: "ask"; readonly call: ModelCall }
  | { readonly type: "views" };

/** A gateway that the supervisor may restart under the one door. */
export class GatewayDoor implements Gateway {
  #worker: SystemWorker | null = null;

  /**
   * @param provider null for the offline model
   * @param patience how long calls wait, where that differs from the limits
   */
  constructor(
    readonly playbooks: readonly Playbook[],
    readonly provider: Provider | null,
    readonly patience: Partial<Patience> = {},
  ) {}

  /** The starter of the supervision tree's `gateway` child. */
  async open(): Promise<Child> {
    const { playbooks, provider, patience } = this;
    const module = import.meta.resolve("./gateway_worker.ts");
    const worker = new SystemWorker("gateway", module, permissions(provider));
    const request: GatewayRequest = { type: "open", playbooks, provider, patience };
    await worker.ask(request);
    this.#worker = worker;
    return worker;
  }

  async ask(
    call: ModelCall,
    signal: AbortSignal,
    onPiece: (piece: Piece) => void,
  ): Promise<ModelReply | ModelFailure> {
    const told = (piece: unknown) => onPiece(piece as Piece);
    return await this.#running.ask({ type: "ask", call } satisfies GatewayRequest, signal, told) as
      | ModelReply
      | ModelFailure;
  }

  async views(): Promise<readonly LaneView[]> {
    return await this.#running.ask({ type: "views" } satisfies GatewayRequest) as LaneView[];
  }

  get #running(): SystemWorker {
    if (!this.#worker) throw new Error("The gateway is not running");
    return this.#worker;
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
