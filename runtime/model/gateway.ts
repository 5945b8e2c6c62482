/**
 * The gateway actor, seen from the kernel: the one door to a model. It is a Web Worker of its own, so
 * that the model's key and network are there and nowhere else.
 */
import { SDK_VARIABLES } from "../core/launch.ts";
import { GATEWAY_BACK_MS } from "../core/limits.ts";
import type {
  ModelCall,
  ModelFailure,
  ModelReply,
  Piece,
  Provider,
} from "../core/model/messages.ts";
import { factsOf, type ModelTable } from "../core/model/facts.ts";
import { PATIENCE, type Patience } from "../core/model/patience.ts";
import type { Playbook } from "../core/model/offline.ts";
import type { LaneView } from "../core/model/lane.ts";
import type { Child, Gateway } from "../ports.ts";
import { SystemWorker } from "./system_worker.ts";
import type { Cassette } from "./cassette.ts";
import type { GatewayRequest } from "./gateway_worker.ts";

/** A gateway that the supervisor may restart under the one door. */
export class GatewayDoor implements Gateway {
  #worker: SystemWorker | null = null;
  #opened = Promise.withResolvers<SystemWorker>();

  /**
   * @param provider null for the offline model
   * @param models how many calls each takes at once
   */
  constructor(
    readonly playbooks: readonly Playbook[],
    readonly provider: Provider | null,
    readonly patience: Patience = PATIENCE,
    readonly cassette: Cassette | null = null,
    readonly models: ModelTable = new Map(),
  ) {}

  /** The starter of the supervision tree's `gateway` child. */
  readonly open = async (): Promise<Child> => {
    const { playbooks, provider, patience, cassette } = this;
    const module = import.meta.resolve("./gateway_worker.ts");
    const worker = new SystemWorker("gateway", module, permissions(provider, cassette));
    const names = Object.values(provider?.models ?? {});
    const calls_max = Object.fromEntries(
      names.map((name) => [name, factsOf(this.models, name).calls_max]),
    );
    const request: GatewayRequest = {
      ...{ type: "open", playbooks, provider, patience, cassette, calls_max },
    };
    await worker.ask(request);
    this.#worker = worker;
    this.#opened.resolve(worker);
    worker.gone.then(() => {
      this.#worker = null;
      this.#opened = Promise.withResolvers();
    });
    return worker;
  };

  async ask(
    call: ModelCall,
    signal: AbortSignal,
    onPiece: (piece: Piece) => void,
  ): Promise<ModelReply | ModelFailure> {
    const worker = this.#worker ?? await this.#successor(signal);
    // The worker answers with what `Lanes` gives, or the offline model: nothing else comes back.
    const told = (piece: unknown) => onPiece(piece as Piece);
    return await worker.ask({ type: "ask", call } satisfies GatewayRequest, signal, told) as
      | ModelReply
      | ModelFailure;
  }

  async views(): Promise<readonly LaneView[]> {
    const asked = this.#worker?.ask({ type: "views" } satisfies GatewayRequest);
    // As above.
    return await asked?.catch(() => []) as LaneView[] | undefined ?? [];
  }

  /** Ends the worker in the middle of whatever it does, as a crash would; the supervisor starts another. */
  crash(reason: string): void {
    this.#worker?.crash(reason);
  }

  /** One that died is replaced within moments: its calls need not fail for that. */
  async #successor(signal: AbortSignal): Promise<SystemWorker> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(GATEWAY_BACK_MS)]);
    const given_up = new Promise<never>((_, reject) => {
      const leave = () => reject(new Error("The gateway is not running"));
      late.addEventListener("abort", leave, { once: true });
    });
    return await Promise.race([this.#opened.promise, given_up]);
  }
}

/** The provider's host, the key, and what the SDK looks up when it loads; the folder of recordings. */
function permissions(
  provider: Provider | null,
  cassette: Cassette | null,
): Deno.PermissionOptionsObject {
  const folder = cassette ? [cassette.folder] : [];
  const files = { read: folder, write: cassette?.mode === "record" ? folder : [] };
  // Recordings answer by themselves.
  if (cassette?.mode === "replay") return files;
  if (!provider) return files;
  const { host, port, protocol } = new URL(provider.base_url);
  return {
    ...files,
    net: [port ? host : `${host}:${protocol === "https:" ? 443 : 80}`],
    env: [...SDK_VARIABLES],
  };
}
