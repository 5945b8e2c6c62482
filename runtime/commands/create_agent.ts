/** `create_agent`: a new kind of agent, or a new version of one that an agent made. */
import { addAgent, newestVersion } from "../../db/definitions.ts";
import type { VerbOf } from "../core/command.ts";
import { Refusal } from "../core/refusal.ts";
import { mayAttach } from "../core/toolkit/mod.ts";
import type { Verb } from "./work.ts";

/** @throws {Refusal} for a name that is not an agent's, and for tools and documents that do not exist */
export const createAgent: Verb<VerbOf<"create_agent">> = async ({ read, clock }, asked) => {
  const { name, description, instruction, tools = [], documents = [] } = asked;
  const newest = await newestVersion(read, "agents", name);
  if (newest && newest.origin !== "agent") {
    throw new Refusal("name", `${name} was not made by an agent: choose another name`);
  }
  const unknown = tools.find((tool) => !mayAttach(tool));
  if (unknown) throw new Refusal("tools", `There is no optional tool named ${unknown}`);
  for (const document of documents) {
    if (await newestVersion(read, "documents", document)) continue;
    throw new Refusal("documents", `There is no document named ${document}`);
  }
  const version = (newest?.version ?? 0) + 1;
  const definition = {
    ...{ name, description, instruction, tools, documents },
    web_search: asked.web_search === true,
    model: asked.model ?? "default",
    after_task: true,
    limits: {},
  };
  return {
    unit: [addAgent(definition, version, "agent", clock.now())],
    concerned: () => ({}),
    answer: {},
    said: `Created ${name}, version ${version}`,
  };
};
