/** A conversation with a real model, whose answers are a function of the test's. */
import { enqueue } from "../../db/envelopes.ts";
import type {
  ModelCall,
  ModelFailure,
  ModelReply,
  Piece,
  Provider,
} from "../../runtime/core/model/messages.ts";
import type { ModelTable } from "../../runtime/core/model/facts.ts";
import type { Message } from "../../runtime/core/protocol.ts";
import type { TestKernel, TestOptions } from "./kernel.ts";
import type { Cassette } from "../../runtime/model/cassette.ts";
import { Lanes } from "../../runtime/model/lanes.ts";
import { Tries } from "../../runtime/model/tries.ts";
import { PATIENCE, type Patience } from "../../runtime/core/model/patience.ts";
import { connect } from "../../runtime/model/provider.ts";
import { type Clock, systemClock, systemRandom } from "../../runtime/ports.ts";
import { finished } from "./agents.ts";
import { tempFolder } from "./folder.ts";
import { startKernel } from "./kernel.ts";
import { type Answer, type Asked, type Block, call, messagesServer } from "./messages_server.ts";

export const KEY = "sk-ant-the-secret-of-the-test";

const NAMES: Provider["models"] = {
  fast: "the-fast-one",
  default: "the-default-one",
  strong: "the-strong-one",
};

export interface TreeEnd {
  readonly status: string;
  readonly result: string | null;
  readonly reason: string | null;
}

export interface Talk extends AsyncDisposable {
  readonly kernel: TestKernel;
  readonly asked: Asked[];
  readonly folder: string;
  /** Begins a task of `generalist`, or of another agent; gives its tree. */
  begin(instruction: string, agent?: string): Promise<string>;
  /** Runs such a task to its end. */
  run(instruction: string, agent?: string): Promise<TreeEnd & { readonly id: string }>;
  /** Sends one of its tasks a message. */
  tell(tree_id: string, task_id: string, message: Message): Promise<void>;
  /** How a tree stands. */
  tree(id: string): Promise<TreeEnd>;
  /** Its tasks, the root first. */
  tasks(id: string): Promise<(TreeEnd & { id: string; input_tokens: number })[]>;
  /** What is written down about its tasks, in order. */
  journal(id: string): Promise<Message[]>;
}

/** What a talk may have that differs. */
export interface Differing {
  /** Another server than that of `answer`. */
  readonly url?: string;
  readonly patience?: Partial<Patience>;
  readonly models?: ModelTable;
  readonly slots?: number;
  readonly clock?: Clock;
  readonly cassette?: Cassette;
  readonly log?: (line: string) => void;
  readonly onOpen?: TestOptions["onOpen"];
}

/** A kernel whose model is a function, or a server of another making. */
export async function talk(answer: Answer, differing: Differing = {}): Promise<Talk> {
  const { url, ...options } = differing;
  const folder = await tempFolder();
  const server = messagesServer(answer);
  Deno.env.set("ANTHROPIC_API_KEY", KEY);
  const kernel = await startKernel(folder.path, {
    agent: import.meta.resolve("../../actors/agent.ts"),
  }, {
    provider: { base_url: url ?? server.url, models: NAMES },
    database: "seeded",
    ...options,
    // What is waited for is tested by hand; here nobody has the time.
    patience: { retry_first_ms: 1, ...options.patience },
  });
  const begin = async (instruction: string, agent = "generalist") =>
    (await kernel.submit({ instruction, agent, after_task: "none" })).id;
  const tree = (id: string) =>
    kernel.read.selectFrom("trees").select(["status", "result", "reason"])
      .where("id", "=", id).executeTakeFirstOrThrow();
  return {
    kernel,
    asked: server.asked,
    folder: folder.path,
    begin,
    run: async (instruction, agent) => {
      const id = await begin(instruction, agent);
      await finished(kernel, id);
      return { id, ...await tree(id) };
    },
    tell: async (tree_id, to, message) => {
      const unit = [
        enqueue({ id: kernel.ids.next(), tree_id, to, from: "test", message }, Date.now()),
      ];
      const result = await kernel.command(unit, { address: to, tree_id, priority: 5 });
      if (!result.ok) throw new Error(result.reason);
    },
    tree,
    tasks: (id) =>
      kernel.read.selectFrom("tasks")
        .select(["id", "status", "result", "reason", "input_tokens"])
        .where("tree_id", "=", id).orderBy("id").execute(),
    journal: async (id) => {
      const rows = await kernel.read.selectFrom("entries").select("message_json")
        .where("tree_id", "=", id).orderBy("seq").execute();
      return rows.map(({ message_json }) => JSON.parse(message_json));
    },
    [Symbol.asyncDispose]: async () => {
      await kernel.stop();
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** The call that ends a task. */
export function end(result: string): Block[] {
  return [call("call_end", "end_task", { status: "success", result })];
}

/** The gateway's model and its tries without a kernel around them: the real SDK, a clock of the test's. */
export interface Line {
  readonly model: Lanes;
  /** What became known on the way, of all calls. */
  readonly pieces: Piece[];
  ask(signal?: AbortSignal): Promise<ModelReply | ModelFailure>;
}

export function line(
  base_url: string,
  { clock = systemClock, ...patience }: Partial<Patience> & { clock?: Clock } = {},
): Line {
  const limits = { deadline_ms: 60_000, first_byte_ms: 20_000, silence_ms: 20_000 };
  const waits = { ...PATIENCE, ...limits, ...patience };
  const model = new Lanes(
    connect({ base_url, models: NAMES }, KEY, waits),
    NAMES,
    waits,
    clock,
  );
  const pieces: Piece[] = [];
  return {
    model,
    pieces,
    ask: async (signal = new AbortController().signal) => {
      const tries = new Tries({ clock, random: systemRandom }, waits);
      const answer = await tries.make<{ readonly said: ModelReply | ModelFailure }>(
        async () => {
          let begun = false;
          const call = { ...CALL, deadline: tries.deadline };
          const said = await model.ask(call, signal, (piece) => {
            begun ||= piece.type === "begun";
            pieces.push(piece);
          });
          // What broke off would have to be accounted for first: nobody does that here.
          return !("failed" in said) || begun && said.concerns === "again" ? { said } : said;
        },
        ({ failed }) => Promise.resolve(void pieces.push({ type: "waiting", why: failed })),
        signal,
      );
      return "said" in answer ? answer.said : answer;
    },
  };
}

const CALL: Omit<ModelCall, "deadline"> = {
  request: {
    model: "default",
    system: [{ type: "text", text: "You are asked." }],
    tools: [],
    web: false,
    calls: true,
    messages: [{ role: "user", content: [{ type: "text", text: "Begin." }] }],
    max_tokens: 1_000,
  },
  task_id: "task",
  tree_id: "tree",
  priority: 5,
  input_tokens: 100,
};
