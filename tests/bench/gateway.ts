/**
 * `deno task bench:gateway`: what stands between a model and those who wait for it. E: one call through
 * the gateway beside one of the SDK alone, in turn, against the same server on loopback. F: 200 replies
 * that stream at once, and how late the kernel's event loop is meanwhile. G: from the moment at which the
 * first word of a reply leaves the model to the moment at which it stands in a real browser's page.
 */
import Anthropic from "@anthropic-ai/sdk";
import { seeding } from "../../db/seeding.ts";
import { createApp } from "../../routes/app.ts";
import type { ModelCall } from "../../runtime/core/model/messages.ts";
import type { TestKernel } from "../support/kernel.ts";
import { paramsOf } from "../../runtime/model/provider.ts";
import { readSeeds } from "../../seeds/mod.ts";
import { startKernel } from "../support/kernel.ts";

const CALLS = 300;
const WARM_UP = 50;
const STREAMS = 200;
const PAGES = 10;

const model = new Deno.Command(Deno.execPath(), {
  args: ["run", "--no-check", "--allow-net", new URL("./model.ts", import.meta.url).pathname],
  stdout: "piped",
}).spawn();
const lines = model.stdout.pipeThrough(new TextDecoderStream()).getReader();
const base_url = (await lines.read()).value!.trim();
const models = { fast: "bench", default: "bench", strong: "bench" };
Deno.env.set("ANTHROPIC_API_KEY", "sk-ant-bench");
const kernel = await startKernel(
  await Deno.makeTempDir({ prefix: "troupe-bench-" }),
  { agent: import.meta.resolve("../../actors/agent.ts") },
  {
    provider: { base_url, models },
    slots: STREAMS,
    spare: { agent: 4 },
    log: (line) => console.error(line),
    onOpen: async (store) => {
      await store.commit((await seeding(store.read, await readSeeds(), false, 1)).unit);
    },
  },
);
await overhead(kernel);
await lag(kernel);
await firstWord(kernel);
await kernel.stop();
model.kill();
Deno.exit(0);

async function overhead({ gateway }: TestKernel): Promise<void> {
  const request: ModelCall["request"] = {
    model: "default",
    system: [{
      type: "text",
      text: '<task id="1" depth="0">instant</task>' + "word ".repeat(2_000),
    }],
    tools: [{ name: "end_task", description: "End.", input_schema: { type: "object" } }],
    web: false,
    calls: true,
    messages: [{ role: "user", content: [{ type: "text", text: "Begin." }] }],
    max_tokens: 1_000,
  };
  const call = {
    ...{ request, task_id: "t", tree_id: "t", priority: 5, input_tokens: 3_000 },
    deadline: Infinity,
  };
  const client = new Anthropic({ apiKey: "sk-ant-bench", baseURL: base_url, maxRetries: 0 });
  const params = paramsOf(request, models);
  const { signal } = new AbortController();
  const ways = {
    "the SDK alone": () => client.messages.stream(params).finalMessage(),
    "the gateway": () => gateway.ask(call, signal, () => {}),
  };
  const times = new Map<string, number[]>();
  for (let round = -WARM_UP; round < CALLS; round++) {
    for (const [name, ask] of Object.entries(ways)) {
      const begun = performance.now();
      await ask();
      if (round >= 0) times.set(name, [...times.get(name) ?? [], performance.now() - begun]);
    }
  }
  const medians = [...times].map(([name, all]) => {
    console.log(`E  ${all.length} calls of ${name}: p50 ${ms(all, 0.5)}, p99 ${ms(all, 0.99)}`);
    return at(all, 0.5);
  });
  console.log(
    `E  overhead of the gateway at the median: ${(medians[1] - medians[0]).toFixed(2)} ms`,
  );
}

async function lag(kernel: TestKernel): Promise<void> {
  const trees: string[] = [];
  // A few at a time: what starting two hundred workers at once costs is not what is measured.
  while (trees.length < STREAMS) {
    const some = Array.from({ length: 10 }, () => begin(kernel, `stream ${trees.length}`));
    trees.push(...await Promise.all(some));
    await until(() => trees.every((id) => kernel.drafts.ofTree(id).length > 0));
  }
  await until(() => trees.every((id) => kernel.drafts.ofTree(id)[0]?.blocks.length > 0));
  const late: number[] = [];
  const end = performance.now() + 5_000;
  let streaming = 0;
  while (performance.now() < end) {
    const due = performance.now() + 5;
    await new Promise((resolve) => setTimeout(resolve, 5));
    late.push(performance.now() - due);
    streaming = Math.max(
      streaming,
      trees.filter((id) => kernel.drafts.ofTree(id).length > 0).length,
    );
  }
  console.log(
    `F  ${streaming} replies streaming at once, a word every 20 ms each: the kernel's event loop is ` +
      `late by p50 ${ms(late, 0.5)}, p99 ${ms(late, 0.99)}, at most ${ms(late, 1)}`,
  );
  for (const id of trees) await ended(kernel, id);
}

async function firstWord(kernel: TestKernel): Promise<void> {
  const app = createApp(kernel, { host: "127.0.0.1", admin_token: null });
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, app.fetch);
  const ids: string[] = [];
  // The browser's process opens each page first, and then a line on its input begins the next.
  const browser = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", new URL("./viewer.ts", import.meta.url).pathname],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const out = browser.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const input = browser.stdin.getWriter();
  const took: number[] = [];
  for (let page = 0; page < PAGES; page++) {
    const id = await begin(kernel, `watched ${page}`);
    ids.push(id);
    await input.write(
      new TextEncoder().encode(`http://127.0.0.1:${server.addr.port}/trees/${id}\n`),
    );
    took.push(Number((await out.read()).value));
  }
  console.log(
    `G  ${took.length} pages in Chromium, from the model's first word to the page: ` +
      `p50 ${ms(took, 0.5)}, at most ${ms(took, 1)}`,
  );
  await input.close();
  await browser.status;
  for (const id of ids) await ended(kernel, id);
  await Promise.race([server.shutdown(), new Promise((resolve) => setTimeout(resolve, 500))]);
}

async function begin(kernel: TestKernel, instruction: string): Promise<string> {
  return (await kernel.submit({ instruction, agent: "generalist", after_task: "none" })).id;
}

async function ended({ store }: TestKernel, id: string): Promise<void> {
  await until(async () => {
    const row = await store.read.selectFrom("trees").select("ended_at").where("id", "=", id)
      .executeTakeFirstOrThrow();
    return row.ended_at !== null;
  });
}

async function until(look: () => boolean | Promise<boolean>): Promise<void> {
  while (!await look()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function ms(values: number[], share: number): string {
  return `${at(values, share).toFixed(2)} ms`;
}

function at(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))];
}
