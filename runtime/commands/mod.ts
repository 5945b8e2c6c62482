/**
 * Turns commands into units of work, one file a verb. Who may want what is checked here and nowhere else,
 * and what was commanded from outside of a task is written down with what it does.
 */
import { noteCommand } from "../../db/commands.ts";
import { type By, byText, type Command, type VerbOf } from "../core/command.ts";
import { NotAllowed } from "../core/refusal.ts";
import { addDocument } from "./add_document.ts";
import { addTool } from "./add_tool.ts";
import { ask } from "./ask.ts";
import { attachDocument } from "./attach_document.ts";
import { attachTool } from "./attach_tool.ts";
import { begin } from "./begin.ts";
import { createAgent } from "./create_agent.ts";
import { decide } from "./decide.ts";
import { deleteTool } from "./delete_tool.ts";
import { disableTool } from "./disable_tool.ts";
import { keepMedia } from "./keep_media.ts";
import { resolve } from "./resolve.ts";
import { startChild } from "./start_child.ts";
import { stopTree } from "./stop_tree.ts";
import type { Reading, Verb, Work } from "./work.ts";

/** Of each verb who may want it, and what it does. */
const VERBS = {
  begin: { by: ["person", "token", "schedule", "system"], verb: begin },
  decide: { by: ["person", "token"], verb: decide },
  disable_tool: { by: ["person", "token"], verb: disableTool },
  delete_tool: { by: ["person", "token"], verb: deleteTool },
  stop_tree: { by: ["system"], verb: stopTree },
  start_child: { by: ["task", "system"], verb: startChild },
  ask: { by: ["task"], verb: ask },
  resolve: { by: ["task"], verb: resolve },
  add_document: { by: ["task"], verb: addDocument },
  attach_document: { by: ["task"], verb: attachDocument },
  attach_tool: { by: ["task"], verb: attachTool },
  create_agent: { by: ["task"], verb: createAgent },
  add_tool: { by: ["task"], verb: addTool },
  keep_media: { by: ["task"], verb: keepMedia },
} as const satisfies {
  // deno-lint-ignore no-explicit-any -- each verb's answer is its own
  [V in Command["verb"]]: { by: readonly By["type"][]; verb: Verb<VerbOf<V>, any> };
};

/** What whoever commanded it is told. */
export type AnswerTo<C extends Command> = (typeof VERBS)[C["verb"]] extends {
  verb: Verb<infer _, infer Answer>;
} ? Answer
  : never;

/**
 * The unit of work that a command comes to, and whom it concerns.
 * @throws {NotAllowed} when they may not want this
 * @throws {NotThere} when what it names does not exist
 * @throws {Refusal} when it breaks a limit, by the field
 */
export async function unitOf<C extends Command>(
  reading: Reading,
  command: C,
  by: By,
): Promise<Work<AnswerTo<C>>> {
  // What a verb does and what it answers are looked up by its name: the compiler cannot follow that.
  const { by: may, verb } = VERBS[command.verb] as unknown as {
    by: readonly By["type"][];
    verb: Verb<C, AnswerTo<C>>;
  };
  if (!may.includes(by.type) || !isOwn(command, by)) {
    throw new NotAllowed(`${byText(by)} may not ${command.verb.replaceAll("_", " ")}`);
  }
  const work = await verb(reading, command, by);
  // A task's own journal has what it wanted.
  if (by.type === "task" || command.verb === "start_child") return work;
  const noted = noteCommand({
    id: reading.ids.next(),
    verb: command.verb,
    by: byText(by),
    command_json: JSON.stringify(command),
    tree_id: work.tree_id ?? null,
    now: reading.clock.now(),
  });
  return { ...work, unit: [...work.unit, noted] };
}

/** A task begins children of its own alone. */
function isOwn(command: Command, by: By): boolean {
  return by.type !== "task" || command.verb !== "start_child" ||
    command.parent_id === by.task_id;
}
