/** `add_document`: a document that an agent wrote, or a new version of one. */
import { addDocument as add, newestVersion } from "../../db/definitions.ts";
import type { VerbOf } from "../core/command.ts";
import { DESCRIPTION_CHARS_MAX } from "../core/limits.ts";
import { Refusal } from "../core/refusal.ts";
import type { Verb } from "./work.ts";

/** @throws {Refusal} for a name that is not an agent's */
export const addDocument: Verb<VerbOf<"add_document">> = async (
  { read, clock },
  { name, content },
) => {
  const newest = await newestVersion(read, "documents", name);
  if (newest && newest.origin !== "agent") {
    throw new Refusal("name", `${name} was not written by an agent: choose another name`);
  }
  const version = (newest?.version ?? 0) + 1;
  const description = content.split("\n").map((line) => line.replace(/^#+\s*/, "").trim())
    .find((line) => line !== "")?.slice(0, DESCRIPTION_CHARS_MAX).toWellFormed() ?? name;
  return {
    unit: [add({ name, description, content }, version, "agent", clock.now())],
    concerned: () => ({}),
    answer: {},
    said: `Added ${name}, version ${version}`,
  };
};
