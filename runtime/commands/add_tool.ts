/** `add_tool`: registers a version of a tool that an agent wrote, and gives it to the task that wanted it. */
import { attachTool } from "../../db/definitions.ts";
import { beneficiaryOf } from "../../db/tasks.ts";
import { addWrittenTool } from "../../db/tools.ts";
import type { VerbOf } from "../core/command.ts";
import { taskBy, type Verb } from "./work.ts";

export const addTool: Verb<VerbOf<"add_tool">> = async ({ read, clock }, { tool, tests }, by) => {
  const { task_id, tree_id } = taskBy(by);
  const now = clock.now();
  const given_to = await beneficiaryOf(read, task_id);
  return {
    unit: [
      addWrittenTool(tool, tests, tree_id, now),
      attachTool(given_to, tool.name, tool.version, now),
    ],
    concerned: () => ({}),
    answer: {},
  };
};
