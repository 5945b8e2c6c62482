/** The plain skills of the offline model: what it can do for an agent without a playbook. */
import { textIn } from "./messages.ts";
import { endTask, outcomeOf, type PlayedCall, type Scene } from "./scene.ts";
import { reasonOf } from "../reason.ts";
import { BRACKETS_MAX } from "../limits.ts";

/** The next calls for a task that one of the skills knows, or null. */
export function solve(scene: Scene): PlayedCall[] | null {
  if (scene.agent === "context_addition") return attachDocuments(scene);
  if (scene.agent === "tool_addition") return attachTools(scene);
  return splitting(scene) ?? doAlone(scene);
}

function doAlone(scene: Scene): PlayedCall[] | null {
  for (const skill of [arithmetic, counting, writing, reading, listing]) {
    const calls = skill(scene);
    if (calls) return calls;
  }
  return null;
}

/** "Do A, then B, and C": one subtask each, side by side where "and" stands, in turn where "then". */
function splitting(scene: Scene): PlayedCall[] | null {
  const { task, history } = scene;
  const stages = stagesOf(task);
  if (stages.length === 1) {
    // An "and" alone may join two nouns: it splits only what can be done.
    const known = stages[0].every((part) => doAlone({ ...scene, task: part }));
    if (stages[0].length === 1 || !known) return null;
  }
  const last = history.at(-1)?.map(outcomeOf) ?? [];
  const failed = last.find(({ status }) => status === "failure");
  if (failed) return [endTask("failure", failed.text)];
  if (history.length === stages.length) {
    const results = history.flat().map(outcomeOf).map(({ text }) => text);
    return [
      endTask("success", stages.flat().map((part, at) => `${part}: ${results[at]}`).join("\n")),
    ];
  }
  return stages[history.length].map((part) => ({
    tool: "start_subtask",
    input: { task_instruction: part, agent_type: "generalist" },
  }));
}

/** Stages one after the other, each a list of parts that do not depend on each other. */
function stagesOf(task: string): string[][] {
  const quoted: string[] = [];
  const plain = task.replace(/"[^"]*"|'[^']*'/g, (text) => `\uE000${quoted.push(text) - 1}\uE000`);
  const parts = plain.replace(/[.!]\s*$/, "").split(/\s*(?:,|;|\band\b|\.\s)?\s*\bthen\b\s*,?\s*/i);
  return parts.map((stage) =>
    stage.split(/\s*(?:,\s*and\b|;|,|\band\b)\s*/i)
      .map((part) => part.replace(/\uE000(\d+)\uE000/g, (_, at) => quoted[at]).trim())
      .filter((part) => part !== "")
  ).filter((stage) => stage.length > 0);
}

/** "Compute 17 * 23 + 4", "What is (1 + 2) / 4?" */
function arithmetic({ task }: Scene): PlayedCall[] | null {
  const asked =
    /^(?:please\s+)?(?:compute|calculate|evaluate|what\s+is|how\s+much\s+is)?\s*:?\s*([-+*/×÷^%().\d\s]+?)\s*[=?.]*$/i
      .exec(task);
  if (!asked || !/\d/.test(asked[1])) return null;
  const value = calculate(asked[1]);
  if (typeof value === "string") return [endTask("failure", `${asked[1]}: ${value}`)];
  return [endTask("success", String(value))];
}

/**
 * Evaluates + - * / % ^ and brackets with the usual precedence, by recursive descent.
 * Returns a sentence instead of a number when the text is not such an expression.
 */
export function calculate(text: string): number | string {
  const tokens =
    text.replaceAll("×", "*").replaceAll("÷", "/").match(/\d+\.?\d*|\.\d+|[-+*/%^()]/g) ??
      [];
  let at = 0;
  let depth = 0;

  function sum(): number {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-") {
      value = tokens[at++] === "+" ? value + product() : value - product();
    }
    return value;
  }
  function product(): number {
    let value = signed();
    while (tokens[at] === "*" || tokens[at] === "/" || tokens[at] === "%") {
      const operator = tokens[at++];
      const by = signed();
      if (by === 0 && operator !== "*") throw new Error("a division by zero");
      value = operator === "*" ? value * by : operator === "/" ? value / by : value % by;
    }
    return value;
  }
  function signed(): number {
    if (tokens[at] === "-") return at++, -signed();
    if (tokens[at] === "+") return at++, signed();
    return power();
  }
  function power(): number {
    const base = atom();
    return tokens[at] === "^" ? (at++, base ** signed()) : base;
  }
  function atom(): number {
    if (tokens[at] === "(") {
      if (++depth > BRACKETS_MAX) throw new Error(`brackets more than ${BRACKETS_MAX} deep`);
      at++;
      const value = sum();
      if (tokens[at++] !== ")") throw new Error("a bracket is not closed");
      depth--;
      return value;
    }
    const token = tokens[at++];
    if (token === undefined || !/^[\d.]/.test(token)) throw new Error("a number is missing");
    return Number(token);
  }

  try {
    const value = sum();
    if (at < tokens.length) return `not an expression from ${tokens[at]} on`;
    return Number.isFinite(value) ? Number(value.toPrecision(15)) : "too large a number";
  } catch (error) {
    return reasonOf(error);
  }
}

/** "Count the words in notes.txt", "How many lines has a/b.txt?" */
function counting(scene: Scene): PlayedCall[] | null {
  const asked =
    /^(?:count|how\s+many)\s+(?:the\s+)?(words|lines|characters)\b.*?\b(?:in|of|has|have|does)\s+(?:the\s+file\s+)?[`"']?([\w./-]+\.\w+|[\w/-]+\/[\w./-]+)[`"']?(?:\s+have)?\s*[.?]*$/i
      .exec(scene.task);
  if (!asked) return null;
  const read = useTool(scene, "read_file", { path: asked[2] });
  if ("calls" in read) return read.calls;
  const { status, text } = read;
  if (status === "failure") return [endTask("failure", text)];
  const counts: Record<string, number> = {
    words: text.match(/\S+/g)?.length ?? 0,
    lines: text === "" ? 0 : text.replace(/\n$/, "").split("\n").length,
    characters: [...text].length,
  };
  const unit = asked[1].toLowerCase();
  return [endTask("success", `${asked[2]} has ${counts[unit]} ${unit}`)];
}

/** "Write "hello world" to notes.txt" */
function writing(scene: Scene): PlayedCall[] | null {
  const asked =
    /^(?:write|save|put)\s+(?:the\s+text\s+)?(?:"([^"]*)"|'([^']*)')\s+(?:in)?to\s+(?:the\s+file\s+)?[`"']?([\w./-]+)[`"']?\s*\.?$/i
      .exec(scene.task);
  if (!asked) return null;
  const content = `${asked[1] ?? asked[2]}\n`;
  const wrote = useTool(scene, "write_file", { path: asked[3], content });
  if ("calls" in wrote) return wrote.calls;
  const { status, text } = wrote;
  return [endTask(status, status === "success" ? `wrote ${asked[3]}` : text)];
}

/** "Read notes.txt" */
function reading(scene: Scene): PlayedCall[] | null {
  const asked = /^(?:read|show|print)\s+(?:the\s+)?(?:file\s+)?[`"']?([\w./-]+\.\w+)[`"']?\s*\.?$/i
    .exec(scene.task);
  if (!asked) return null;
  const read = useTool(scene, "read_file", { path: asked[1] });
  return "calls" in read ? read.calls : [endTask(read.status, read.text)];
}

/** "List the files", "List the agents", "List the documents", "List the tools" */
function listing(scene: Scene): PlayedCall[] | null {
  const asked =
    /^(?:list|show)\s+(?:me\s+)?(?:all\s+)?(?:the\s+)?(?:workspace(?:'s)?\s+)?(files|agents|documents|tools)(?:\s+(?:in|of)\s+the\s+workspace)?\s*\.?$/i
      .exec(scene.task);
  if (!asked) return null;
  const listed = useTool(scene, LISTS[asked[1].toLowerCase()], {});
  return "calls" in listed ? listed.calls : [endTask(listed.status, listed.text)];
}

const LISTS: Record<string, string> = {
  files: "list_files",
  agents: "list_agents",
  documents: "list_documents",
  tools: "list_optional_tools",
};

/** What a tool gave, or the call that comes next: of the tool, or of `request_tools` to get it. */
function useTool(
  { tools, called, results, history }: Scene,
  tool: string,
  input: Record<string, unknown>,
): { calls: PlayedCall[] } | { status: "success" | "failure"; text: string } {
  if (called[0] === tool) return outcomeOf(results[0]);
  if (tools.includes(tool)) return { calls: [{ tool, input }] };
  if (history.length > 0) return { status: "failure", text: `The tool ${tool} was not to be had` };
  return { calls: [{ tool: "request_tools", input: { tools_needed: `The tool ${tool}` } }] };
}

/** Attaches the listed documents that the request names. */
function attachDocuments(scene: Scene): PlayedCall[] {
  return attachNamed(scene, "list_documents", "attach_document");
}

/** Attaches the listed tools that the request names. */
function attachTools(scene: Scene): PlayedCall[] {
  return attachNamed(scene, "list_optional_tools", "attach_tool");
}

function attachNamed({ task, called, results }: Scene, list: string, attach: string): PlayedCall[] {
  switch (called[0]) {
    case undefined:
      return [{ tool: list, input: {} }];
    case list: {
      const listed = [...textIn(results[0]).matchAll(/^- (\w+):/gm)].map(([, name]) => name);
      const wanted = listed.filter((name) => new RegExp(`\\b${name}\\b`).test(task));
      if (wanted.length > 0) return wanted.map((name) => ({ tool: attach, input: { name } }));
      return [endTask("failure", "The offline model attaches only what a request names")];
    }
    default:
      return [endTask("success", results.map(({ content }) => content).join("; "))];
  }
}
