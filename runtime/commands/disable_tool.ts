/** `disable_tool`: disables or enables every version of a tool that an agent wrote. */
import { setToolDisabled } from "../../db/tools.ts";
import type { VerbOf } from "../core/command.ts";
import type { Verb } from "./work.ts";

export const disableTool: Verb<VerbOf<"disable_tool">> = (_, { name, disabled }) =>
  Promise.resolve({
    unit: [setToolDisabled(name, disabled)],
    concerned: () => ({}),
    answer: {},
  });
