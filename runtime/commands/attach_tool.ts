/** `attach_tool`: gives a tool to a task, from its next turn; a written one in its newest version. */
import { attachTool as attach } from "../../db/definitions.ts";
import { beneficiaryOf } from "../../db/tasks.ts";
import { findWrittenTool } from "../../db/tools.ts";
import type { VerbOf } from "../core/command.ts";
import { Refusal } from "../core/refusal.ts";
import { mayAttach } from "../core/toolkit/mod.ts";
import { taskBy, type Verb } from "./work.ts";

/** @throws {Refusal} for a tool that does not exist or is never attached */
export const attachTool: Verb<VerbOf<"attach_tool">> = async ({ read, clock }, { name }, by) => {
  const written = mayAttach(name) ? null : await findWrittenTool(read, name);
  if (!mayAttach(name) && !written) {
    throw new Refusal("name", `There is no optional tool named ${name}`);
  }
  const task_id = await beneficiaryOf(read, taskBy(by).task_id);
  return {
    unit: [attach(task_id, name, written?.version ?? null, clock.now())],
    concerned: () => ({}),
    answer: {},
    said: `Attached ${name}`,
  };
};
