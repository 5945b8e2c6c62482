/** `delete_tool`: deletes every version of a tool that an agent wrote. */
import { deleteTool as remove } from "../../db/tools.ts";
import type { VerbOf } from "../core/command.ts";
import type { Verb } from "./work.ts";

export const deleteTool: Verb<VerbOf<"delete_tool">> = (_, { name }) =>
  Promise.resolve({ unit: remove(name), concerned: () => ({}), answer: {} });
