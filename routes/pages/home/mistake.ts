/** What is wrong with a task that a person handed in, said to them in a sentence. */
import type * as z from "zod";
import { INSTRUCTION_BYTES_MAX, TIMEOUT_SECONDS_MAX } from "../../../runtime/core/limits.ts";
import { bytesOf } from "../../../runtime/core/text.ts";
import type { Form } from "../../http/form.ts";

export interface Mistake {
  readonly status: 400 | 413;
  readonly text: string;
  /** Given back, so that it can be mended. */
  readonly instruction: string;
}

/** @param issues what the schema found, in the order of its fields: the first one is told */
export function mistakeIn(form: Form, [issue]: readonly z.core.$ZodIssue[]): Mistake {
  const instruction = typeof form.instruction === "string" ? form.instruction.trim() : "";
  const mistake = (text: string, status: 400 | 413 = 400) => ({ status, text, instruction });
  switch (issue.path.join(".")) {
    case "instruction": {
      if (issue.code === "custom") return mistake(`The task ${issue.message}.`);
      if (issue.code !== "too_big") {
        return mistake("Write what should be done: the task is empty.");
      }
      const bytes = bytesOf(instruction);
      return mistake(
        `The task is ${bytes} bytes long; at most ${INSTRUCTION_BYTES_MAX} are possible.`,
        413,
      );
    }
    case "timeout_seconds":
      return mistake(
        `The timeout must be a whole number of seconds from 1 to ${TIMEOUT_SECONDS_MAX}.`,
      );
    default:
      return mistake(`${issue.path.join(".") || "The form"}: ${issue.message}.`);
  }
}
