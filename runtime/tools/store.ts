/** The tools whose world is the database: what there is, what is attached, what is written down. */
import { listNewest } from "../../db/definitions.ts";
import type { Db } from "../../db/schema.ts";
import { answer, type Outcome, type ToolCall, type ToolPerformer } from "../commands/outcome.ts";
import type { Command } from "../core/command.ts";
import { mayAttach, nameBy, TOOLKIT } from "../core/toolkit/mod.ts";

export function store({ read }: { readonly read: Db }): ToolPerformer {
  return { perform: (call) => perform(read, call) };
}

async function perform(read: Db, { tool, call_id, input }: ToolCall): Promise<Outcome> {
  const said = (rows: readonly Listed[]): Outcome => ({
    type: "replied",
    reply: answer(call_id, { content: asList(rows) }),
  });
  const name = nameBy("store", tool);
  switch (name) {
    case "list_agents":
      return said(await listNewest(read, "agents"));
    case "list_documents":
      return said(await listNewest(read, "documents"));
    case "list_optional_tools": {
      const tools = await listNewest(read, "tools");
      return said(tools.filter(({ name }) => !TOOLKIT.has(name) || mayAttach(name)));
    }
    case "resolve_task":
      return commanded({ verb: "resolve", ...input });
    case "add_document":
    case "attach_document":
    case "attach_tool":
    case "create_agent":
      return commanded({ verb: name, ...input });
  }
}

/** A tool's arguments are its command's fields: the toolkit's schema has checked them. */
function commanded(command: { readonly verb: Command["verb"] }): Outcome {
  return { type: "commanded", command: command as Command };
}

interface Listed {
  readonly name: string;
  readonly description: string;
}

function asList(rows: readonly Listed[]): string {
  return rows.map(({ name, description }) => `- ${name}: ${description}`).join("\n") || "(none)";
}
