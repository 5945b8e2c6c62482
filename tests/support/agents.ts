/** A kernel with the seeds, whose agents say what the test tells them to. */
import { addAgent } from "../../db/definitions.ts";
import type { Statement } from "../../db/unit.ts";
import type { AgentDefinition } from "../../runtime/core/definitions.ts";
import type { PlayedTurn } from "../../runtime/core/model/offline.ts";
import type { TestKernel, TestOptions } from "./kernel.ts";
import { PERSON } from "../../runtime/core/command.ts";
import { startKernel } from "./kernel.ts";
import { until } from "./until.ts";

/** What an agent replies, turn by turn, by the task that it is given. */
export type Script = Record<string, readonly PlayedTurn[]>;

/** The agents of the script are all `tool_addition`, which may write and attach tools. */
export const AGENT = "tool_addition";

export async function startAgents(
  folder: string,
  script: Script,
  options: Pick<TestOptions, "layers" | "containment" | "slots" | "between" | "clock"> = {},
): Promise<TestKernel> {
  const roles = Object.entries(script).map(([task, turns]) => ({
    agent: AGENT,
    task: `^${task}$`,
    turns,
  }));
  return await startKernel(folder, { agent: import.meta.resolve("../../actors/agent.ts") }, {
    ...options,
    playbooks: [{
      name: "script",
      title: "Script",
      task: null,
      description: "",
      timeout_seconds: null,
      roles,
    }],
    database: "seeded",
  });
}

/** Adds an agent of the test's own, which has no tool but those of every agent. */
export function ownAgent(name: string, differing: Partial<AgentDefinition> = {}): Statement {
  const agent: AgentDefinition = {
    name,
    description: "An agent of the test.",
    instruction: "Do as the test says.",
    tools: [],
    documents: [],
    web_search: false,
    model: "default",
    after_task: false,
    limits: {},
    ...differing,
  };
  return addAgent(agent, 1, "person", 1);
}

/** Begins a task of the script. */
export async function begin(kernel: TestKernel, instruction: string): Promise<string> {
  const { id } = await kernel.submit({ instruction, agent: AGENT, after_task: "none" });
  return id;
}

export interface Reply {
  readonly content: string;
  readonly is_error?: boolean;
  readonly log?: string;
}

/** What the tools answered in a tree, in order. */
export async function replies(kernel: TestKernel, tree_id: string): Promise<Reply[]> {
  const rows = await kernel.read.selectFrom("entries").select("message_json")
    .where("tree_id", "=", tree_id).where("type", "=", "tool.replied").orderBy("seq").execute();
  return rows.map(({ message_json }) => JSON.parse(message_json));
}

/** Waits for a tree's end; gives what the tools answered in it. */
export async function finished(kernel: TestKernel, tree_id: string): Promise<Reply[]> {
  await until(`the end of ${tree_id}`, async () => {
    const { ended_at } = await kernel.read.selectFrom("trees").select("ended_at")
      .where("id", "=", tree_id).executeTakeFirstOrThrow();
    return ended_at !== null;
  });
  return await replies(kernel, tree_id);
}

/** Runs a task of the script to its end. */
export async function run(kernel: TestKernel, instruction: string): Promise<Reply[]> {
  return await finished(kernel, await begin(kernel, instruction));
}

/** The question that a tree waits for. */
export async function question(kernel: TestKernel, tree_id: string) {
  return await until(
    `a question of ${tree_id}`,
    () =>
      kernel.read.selectFrom("reviews").selectAll()
        .where("tree_id", "=", tree_id).where("status", "=", "open").executeTakeFirst(),
  );
}

/** Decides about a question as a person. */
export async function decide(
  kernel: TestKernel,
  review_id: string,
  decided: { decision: "approved" | "rejected"; comment: string },
): Promise<void> {
  const done = await kernel.dispatch({ verb: "decide", review_id, ...decided }, PERSON);
  if (!done.ok) throw new Error(done.reason);
}

export const end: PlayedTurn = {
  call: [{ tool: "end_task", input: { status: "success", result: "over" } }],
};

export function calls(...all: [tool: string, input: Record<string, unknown>][]): PlayedTurn {
  return { call: all.map(([tool, input]) => ({ tool, input })) };
}
