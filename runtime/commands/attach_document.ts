/** `attach_document`: puts a document into a task's prompt, from its next turn. */
import { attachDocument as attach, newestVersion } from "../../db/definitions.ts";
import { beneficiaryOf } from "../../db/tasks.ts";
import type { VerbOf } from "../core/command.ts";
import { Refusal } from "../core/refusal.ts";
import { taskBy, type Verb } from "./work.ts";

/** @throws {Refusal} for a document that does not exist */
export const attachDocument: Verb<VerbOf<"attach_document">> = async (
  { read, clock },
  { name },
  by,
) => {
  if (!await newestVersion(read, "documents", name)) {
    throw new Refusal("name", `There is no document named ${name}`);
  }
  const task_id = await beneficiaryOf(read, taskBy(by).task_id);
  return {
    unit: [attach(task_id, name, clock.now())],
    concerned: () => ({}),
    answer: {},
    said: `Attached ${name}`,
  };
};
