/** Reads the seeds: agents and documents from Markdown with front matter, playbooks from YAML. */
import { parse } from "yaml";
import * as z from "zod";
import type {
  AgentDefinition,
  DocumentDefinition,
  ToolDefinition,
} from "../runtime/core/definitions.ts";
import { NANO, type Rates } from "../runtime/core/model/budget.ts";
import type { ModelTable } from "../runtime/core/model/facts.ts";
import type { Playbook } from "../runtime/core/model/offline.ts";
import { hasNul } from "../runtime/core/text.ts";
import { definitionOf, issuesOf, TOOLKIT } from "../runtime/core/toolkit/mod.ts";
import { NAME_CHARS_MAX, PURPOSE_CHARS_MAX } from "../runtime/core/limits.ts";

export interface Seeds {
  readonly agents: readonly AgentDefinition[];
  readonly documents: readonly DocumentDefinition[];
  readonly tools: readonly ToolDefinition[];
}

const name = z.string().regex(/^[a-z][a-z0-9_]*$/).max(NAME_CHARS_MAX);
const line = z.string().trim().min(1).max(PURPOSE_CHARS_MAX);

const agentMatter = z.strictObject({
  name,
  description: line,
  tools: z.array(name),
  documents: z.array(name),
  web_search: z.boolean(),
  model: z.enum(["fast", "default", "strong"]),
  after_task: z.boolean(),
  limits: z.strictObject({
    turns: z.int().min(1).optional(),
    timeout_seconds: z.int().min(1).optional(),
  }).nullish().transform((limits) => limits ?? {}),
});

const documentMatter = z.strictObject({ name, description: line });

const playbook = z.strictObject({
  name,
  title: line,
  task: line.nullable(),
  description: line,
  timeout_seconds: z.int().min(1).nullable().default(null),
  roles: z.array(z.strictObject({
    agent: name,
    task: z.string().optional(),
    turns: z.array(z.strictObject({
      say: z.string().optional(),
      call: z.array(z.strictObject({
        tool: name,
        input: z.record(z.string(), z.unknown()).default({}),
      })).optional(),
      never: z.literal(true).optional(),
    })).min(1),
  })),
});

/**
 * All seeds. The tools are the built-in ones: their one definition is in the toolkit.
 * @throws {Error} that names the file and what is wrong in it
 */
export async function readSeeds(): Promise<Seeds> {
  const [agents, documents] = await Promise.all([
    readMarkdown("agents", agentMatter),
    readMarkdown("documents", documentMatter),
  ]);
  return {
    agents: agents.map(({ matter, body }) => ({ ...matter, instruction: body })),
    documents: documents.map(({ matter, body }) => ({ ...matter, content: body })),
    tools: [...TOOLKIT.values()].map((tool) => ({
      name: tool.name,
      description: tool.description,
      input_schema: definitionOf(tool).input_schema,
      effect: tool.effect,
    })),
  };
}

/** The offline model's playbooks, the demo tasks in the order of their file names. */
export async function readPlaybooks(): Promise<Playbook[]> {
  const files = await readFolder("playbooks", ".yaml");
  return files.map(({ file, text }) => checked(file, playbook, parse(text)));
}

const price = z.strictObject({
  input: z.number().min(0),
  cache_write: z.number().min(0),
  cache_read: z.number().min(0),
  output: z.number().min(0),
  web_search: z.number().min(0),
});

const model = z.strictObject({
  name: z.string().min(1),
  context_tokens: z.int().min(1),
  output_tokens: z.int().min(1),
  calls_max: z.int().min(1).optional(),
  web: z.boolean().default(false),
  price: price.nullable(),
  above: z.strictObject({ input_tokens: z.int().min(1), price }).optional(),
});

/** What is known about models, prices as billionths of a dollar. */
export async function readModels(): Promise<ModelTable> {
  const file = "seeds/models.yaml";
  const text = await Deno.readTextFile(new URL("./models.yaml", import.meta.url));
  const models = checked(file, z.array(model), parse(text));
  return new Map(models.map(({ name, price, above, ...facts }) => {
    const higher = above && { input_tokens: above.input_tokens, rates: inNano(above.price) };
    const known = price && { ...inNano(price), ...higher ? { above: higher } : {} };
    return [name, { ...facts, price: known }];
  }));
}

/** From dollars for a million tokens, and for a thousand searches. */
function inNano({ web_search, ...tokens }: z.infer<typeof price>): Rates {
  const each = (dollars: number) => Math.round(dollars * 1_000);
  return {
    input: each(tokens.input),
    cache_write: each(tokens.cache_write),
    cache_read: each(tokens.cache_read),
    output: each(tokens.output),
    web_search: Math.round(web_search * NANO / 1_000),
  };
}

async function readMarkdown<T>(folder: string, schema: z.ZodType<T>) {
  const files = await readFolder(folder, ".md");
  return files.map(({ file, text }) => {
    const parts = /^---\n([^]*?)\n---\n([^]*)$/.exec(text);
    if (hasNul(text)) throw new Error(`${file}: has a NUL character`);
    if (!parts) throw new Error(`${file}: no front matter between two lines of ---`);
    return { matter: checked(file, schema, parse(parts[1])), body: parts[2].trim() };
  });
}

async function readFolder(folder: string, ending: string) {
  const root = new URL(`./${folder}/`, import.meta.url);
  const entries = await Array.fromAsync(Deno.readDir(root));
  const names = entries.map(({ name }) => name).filter((name) => name.endsWith(ending)).sort();
  return await Promise.all(names.map(async (name) => ({
    file: `seeds/${folder}/${name}`,
    text: await Deno.readTextFile(new URL(name, root)),
  })));
}

function checked<T>(file: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Error(`${file}: ${issuesOf(parsed.error)}`);
  return parsed.data;
}
