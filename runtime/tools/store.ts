/** The tools whose world is the database: what there is, what is attached, what is written down. */
import {
  addAgent,
  addDocument,
  attachDocument,
  attachTool,
  listNewest,
  newestVersion,
} from "../../db/definitions.ts";
import { isStuck } from "../../db/actors.ts";
import { enqueue } from "../../db/envelopes.ts";
import { addReview } from "../../db/reviews.ts";
import { findWrittenTool } from "../../db/tools.ts";
import type { Statement } from "../../db/unit.ts";
import { CORE_TOOLS, TOOLKIT } from "../core/toolkit/mod.ts";
import type { Parts } from "../kernel.ts";
import { Refusal } from "../core/refusal.ts";
import { cancelling } from "../commands/ending.ts";
import { beneficiary } from "./context.ts";
import { answer, type Outcome, type ToolCall } from "../outbox/execute.ts";

/** Tools that an agent gets by its definition alone, never on request. */
const NEVER_ATTACHED = ["resolve_task"];

/** @throws {Refusal} for what does not exist or must not be done */
export async function useStore(parts: Parts, call: ToolCall): Promise<Outcome> {
  const db = parts.store.read;
  const said = (content: string, statements: Statement[] = []): Outcome => ({
    statements,
    ...answer(call.call_id, { content }),
  });
  switch (call.tool.name) {
    case "list_agents":
      return said(asList(await listNewest(db, "agents")));
    case "list_documents":
      return said(asList(await listNewest(db, "documents")));
    case "list_optional_tools": {
      const tools = await listNewest(db, "tools");
      return said(asList(tools.filter(({ name }) => !TOOLKIT.has(name) || mayAttach(name))));
    }
    case "add_document":
      return said(...await document(parts, call));
    case "attach_document": {
      const name = call.input.name as string;
      const known = await newestVersion(db, "documents", name);
      if (!known) throw new Refusal("name", `There is no document named ${name}`);
      const task_id = await beneficiary(parts, call);
      return said(`Attached ${name}`, [attachDocument(task_id, name, parts.clock.now())]);
    }
    case "attach_tool": {
      const name = call.input.name as string;
      const written = mayAttach(name) ? null : await findWrittenTool(db, name);
      if (!mayAttach(name) && !written) {
        throw new Refusal("name", `There is no optional tool named ${name}`);
      }
      const task_id = await beneficiary(parts, call);
      const version = written?.version ?? null;
      return said(`Attached ${name}`, [attachTool(task_id, name, version, parts.clock.now())]);
    }
    case "create_agent":
      return said(...await agent(parts, call));
    case "resolve_task":
      return await resolve(parts, call);
    default:
      throw new Error(`${call.tool.name} is not a tool of the store`);
  }
}

function asList(rows: readonly { name: string; description: string }[]): string {
  return rows.map(({ name, description }) => `- ${name}: ${description}`).join("\n") || "(none)";
}

function mayAttach(name: string): boolean {
  return TOOLKIT.has(name) && !CORE_TOOLS.includes(name) && !NEVER_ATTACHED.includes(name);
}

async function document(
  { store, clock }: Parts,
  { input }: ToolCall,
): Promise<[string, Statement[]]> {
  const name = input.name as string;
  const content = input.content as string;
  const newest = await newestVersion(store.read, "documents", name);
  if (newest && newest.origin !== "agent") {
    throw new Refusal("name", `${name} was not written by an agent: choose another name`);
  }
  const version = (newest?.version ?? 0) + 1;
  const description = content.split("\n").map((line) => line.replace(/^#+\s*/, "").trim())
    .find((line) => line !== "")?.slice(0, 200) ?? name;
  return [
    `Added ${name}, version ${version}`,
    [addDocument({ name, description, content }, version, "agent", clock.now())],
  ];
}

async function agent({ store, clock }: Parts, { input }: ToolCall): Promise<[string, Statement[]]> {
  const name = input.name as string;
  const newest = await newestVersion(store.read, "agents", name);
  if (newest && newest.origin !== "agent") {
    throw new Refusal("name", `${name} was not made by an agent: choose another name`);
  }
  const tools = input.tools as string[] | undefined ?? [];
  const unknown = tools.find((tool) => !mayAttach(tool));
  if (unknown) throw new Refusal("tools", `There is no optional tool named ${unknown}`);
  const documents = input.documents as string[] | undefined ?? [];
  for (const document of documents) {
    if (await newestVersion(store.read, "documents", document)) continue;
    throw new Refusal("documents", `There is no document named ${document}`);
  }
  const version = (newest?.version ?? 0) + 1;
  const definition = {
    name,
    description: input.description as string,
    instruction: input.instruction as string,
    tools,
    documents,
    web_search: input.web_search === true,
    model: input.model as "fast" | "default" | "strong" | undefined ?? "default",
    after_task: true,
    limits: {},
  };
  return [
    `Created ${name}, version ${version}`,
    [addAgent(definition, version, "agent", clock.now())],
  ];
}

/** The supervisor agent's decision about the stuck task that it was started for. */
async function resolve(parts: Parts, call: ToolCall): Promise<Outcome> {
  const { store, ids, clock } = parts;
  const { action, comment } = call.input as { action: string; comment: string };
  const supervising = await store.read.selectFrom("tasks").select(["purpose", "parent_id"])
    .where("id", "=", call.task_id).executeTakeFirstOrThrow();
  if (supervising.purpose !== "supervision" || !supervising.parent_id) {
    throw new Refusal("task", "resolve_task is for a supervisor that was started for a stuck task");
  }
  const now = clock.now();
  const to = supervising.parent_id;
  const post = (message: { type: string; text: string }) =>
    enqueue({ id: ids.next(), tree_id: call.tree_id, to, from: call.task_id, message }, now);
  const done = answer(call.call_id, { content: `Done: ${action}` });
  switch (action) {
    // Both ask the model again; what the supervisor says is part of the conversation then.
    case "retry":
    case "hint":
      return {
        ...done,
        statements: [isStuck({ address: to }), post({ type: "nudge", text: comment })],
        wake: [to],
      };
    case "cancel": {
      const reason = `Stuck, and cancelled by the supervisor: ${comment}`;
      // The supervisor itself hangs below the task that it ends; it must live to end its own.
      const cut = await cancelling(parts, to, { status: "failed", result: null, reason }, [
        call.task_id,
      ]);
      return { ...done, ...cut, statements: [isStuck({ address: to }), ...cut.statements] };
    }
    case "flag": {
      const issue = `A stuck task: ${comment}`;
      const { tree_id } = call;
      const review = {
        id: ids.next(),
        tree_id,
        task_id: to,
        call_id: null,
        issue,
        blocking: false,
      };
      return { ...done, statements: [addReview(review, now)] };
    }
    default:
      throw new Refusal("action", `resolve_task knows no ${action}`);
  }
}
