/**
 * `deno task run "TASK"`: one tree in the terminal. Uses the kernel that runs already, or starts one
 * for the time being. Progress goes to standard error, the result to standard output.
 */
import { EXIT } from "../runtime/core/exit.ts";
import {
  AFTERMATH_MS,
  FOLLOW_ATTEMPTS_MAX,
  FOLLOW_PAUSE_MS,
  KERNEL_ANSWER_MS,
} from "../runtime/core/limits.ts";
import { startKernel } from "./kernel_process.ts";
import { reasonOf } from "../runtime/core/reason.ts";

interface TreeSoFar {
  readonly id: string;
  readonly status: string;
  readonly result: string | null;
  readonly reason: string | null;
  readonly model: string | null;
  readonly ended_at: string | null;
}

/** @returns 0 when the tree is done, 1 when it failed, 78 when it could not be begun */
export async function runTask(
  words: readonly string[],
  environment: Record<string, string>,
): Promise<number> {
  const { instruction, timeout_seconds, error } = parse(words);
  if (error) {
    console.error(`${error}\nUsage: deno task run [--timeout SECONDS] "TASK"`);
    return EXIT.config;
  }
  const task = { instruction, timeout_seconds };
  const running = await runningKernel(environment);
  if (running) return await follow(running, task, environment, new AbortController().signal);
  // Any free port: another program may have the usual one, and nobody needs to find this one.
  const own = { ...environment, HOST: "127.0.0.1", PORT: "0" };
  const kernel = startKernel(["serve"], own, { quiet: true });
  // What is left to follow once the kernel is on its way out is its own end.
  const over = new AbortController();
  const stop = () => {
    over.abort(new CutOff("Stopped: what was begun goes on at the next start"));
    kernel.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  kernel.status.then(({ code, signal }) => {
    const cause = signal ? `signal ${signal}` : `exit code ${code}`;
    over.abort(new CutOff(`The kernel died (${cause}): what was begun goes on at the next start`));
  });
  try {
    // Its output may end a moment before it has a code.
    const url = await kernel.ready.catch(async () => (await kernel.status).code);
    // The kernel has said why.
    if (typeof url === "number") return url;
    return await follow(url, task, environment, over.signal);
  } finally {
    kernel.stop();
    await kernel.status;
  }
}

function parse(words: readonly string[]) {
  const rest = [...words];
  let timeout_seconds: number | undefined;
  if (rest[0] === "--timeout") {
    timeout_seconds = Number(rest[1]);
    rest.splice(0, 2);
    if (!Number.isInteger(timeout_seconds) || timeout_seconds < 1) {
      return { instruction: "", error: "--timeout takes a whole number of seconds" };
    }
  }
  const instruction = rest.join(" ").trim();
  return { instruction, timeout_seconds, error: instruction ? null : "There is no task" };
}

/** The address of the kernel that holds the data folder, if one answers there. */
async function runningKernel(environment: Record<string, string>): Promise<string | null> {
  try {
    const folder = environment.DATA_DIR || "data";
    const { url } = JSON.parse(await Deno.readTextFile(`${folder}/holder.json`));
    const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(KERNEL_ANSWER_MS) });
    await response.body?.cancel();
    return response.ok ? url : null;
  } catch {
    return null;
  }
}

/** Why nothing more can be followed: a sentence for a person, who needs no stack. */
class CutOff extends Error {}

async function follow(
  url: string,
  task: { readonly instruction: string; readonly timeout_seconds: number | undefined },
  environment: Record<string, string>,
  over: AbortSignal,
): Promise<number> {
  const token = environment.TROUPE_ADMIN_TOKEN;
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  try {
    const begun = await fetch(`${url}/api/trees`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(task),
      signal: over,
    });
    const tree = await begun.json();
    if (begun.ok) return await watch(`${url}/api/trees/${tree.id}/events`, headers, over);
    console.error(tree.detail);
  } catch (error) {
    const cause = over.aborted ? over.reason : error;
    console.error(
      cause instanceof CutOff ? cause.message : `Cannot follow the task: ${reasonOf(cause)}`,
    );
  }
  return EXIT.failed;
}

/** Prints what happens until the tree has ended, and what follows it for a while. */
async function watch(
  url: string,
  headers: Record<string, string>,
  over: AbortSignal,
): Promise<number> {
  const agents = new Map<string, string>();
  let ended: TreeSoFar | null = null;
  let late: ReturnType<typeof setTimeout> | undefined;
  const enough = new AbortController();
  const signal = AbortSignal.any([over, enough.signal]);
  try {
    for await (const { type, value } of eventsOf(url, headers, signal)) {
      if (type === "message") printEntry(value, agents);
      if (type === "delta" && value.waiting) {
        printLine(value.task_id, agents, `waits: ${short(value.waiting)}`);
      }
      if (type !== "tree" || ended || value.ended_at === null) continue;
      ended = value;
      printResult(ended);
      late = setTimeout(() => enough.abort(), AFTERMATH_MS);
    }
  } catch (error) {
    if (!ended) throw error;
  } finally {
    clearTimeout(late);
  }
  return ended?.status === "done" ? EXIT.ok : EXIT.failed;
}

/** What is read of the API's events. */
type TreeEvent =
  | { readonly type: "message"; readonly value: EntryEvent }
  | { readonly type: "delta"; readonly value: { task_id: string; waiting?: string } }
  | { readonly type: "tree"; readonly value: TreeSoFar };

interface EntryEvent {
  readonly task_id: string;
  readonly type: string;
  readonly content: Readonly<Record<string, unknown>>;
}

/** Reads server-sent events; connects again from where it was when the connection breaks. */
async function* eventsOf(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): AsyncGenerator<TreeEvent> {
  let last = "0";
  for (let failures = 0; failures < FOLLOW_ATTEMPTS_MAX;) {
    try {
      const response = await fetch(url, { headers: { ...headers, "last-event-id": last }, signal });
      if (!response.ok) throw new Error(`${url} answered ${response.status}`);
      let rest = "";
      for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + text).split("\n\n");
        rest = blocks.pop()!;
        for (const block of blocks) {
          const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
          last = field("id") ?? last;
          const [type, data] = [field("event"), field("data")];
          if (!type || !data) continue;
          if (type === "end") return;
          failures = 0;
          // The kernel that says it is of this very version.
          yield { type, value: JSON.parse(data) } as TreeEvent;
        }
      }
    } catch (error) {
      if (signal.aborted) throw error;
    }
    failures++;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_PAUSE_MS));
  }
  throw new CutOff("The kernel is gone and did not come back");
}

/** One line on standard error for what a person wants to follow. */
function printEntry({ task_id, type, content }: EntryEvent, agents: Map<string, string>): void {
  if (type === "task.started") agents.set(task_id, String(content.agent));
  const line = lineOf(type, content);
  if (line) printLine(task_id, agents, line);
}

function printLine(id: string, agents: ReadonlyMap<string, string>, line: string): void {
  console.error(`${(agents.get(id) ?? id).padEnd(20)} ${line}`);
}

function lineOf(type: string, content: EntryEvent["content"]): string | null {
  switch (type) {
    case "task.started":
      return `began: ${short(content.instruction)}`;
    case "model.replied":
      return Array.isArray(content.content)
        ? content.content.flatMap(partOf).join("  ") || null
        : null;
    case "context.compacted":
      return "summarised its earlier turns";
    case "tool.replied":
      return content.is_error ? `← error: ${short(content.content)}` : null;
    case "nudge":
    case "reminder":
    case "hint":
      return `${type}: ${short(content.text)}`;
    case "model.failed":
      return `the model failed: ${short(content.reason)}`;
    case "task.ended":
      return `${content.status}: ${short(content.result ?? content.reason ?? "")}`;
    default:
      return null;
  }
}

function partOf(block: EntryEvent["content"]): string[] {
  switch (block.type) {
    case "text":
      return [short(block.text)];
    case "tool_use":
    case "server_tool_use":
      return [`→ ${block.name} ${short(block.input)}`];
    default:
      return [];
  }
}

function short(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // deno-lint-ignore no-control-regex -- what an agent wrote must not steer the terminal
  const line = text.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ").trim();
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}

function printResult({ status, result, reason, model }: TreeSoFar): void {
  if (model === "offline") console.error("(answered by the offline model)");
  if (status === "done") console.log(result ?? "");
  else console.error(`${status}: ${result ?? reason ?? "no reason was given"}`);
}
