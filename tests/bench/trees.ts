/**
 * `deno task bench:trees [LETTERS]`: what many tasks and many trees cost. H: 500 children that one task
 * begins, 25 a turn, from the model's reply that asks for them to their rows on disk. I: the same where
 * 22 children begin 22 each, side by side. J: the program's start with 3,000 unfinished trees in its
 * database, from the launcher's start to `/ready`, and the memory of all its processes a little later.
 * The model is the offline one.
 */
import { seeding } from "../../db/seeding.ts";
import { openStore, type Store } from "../../db/store.ts";
import type { PlayedTurn } from "../../runtime/core/model/offline.ts";
import { readSeeds } from "../../seeds/mod.ts";
import { freePort, startTroupe, type Troupe } from "../support/troupe.ts";
import { startKernel } from "../support/kernel.ts";
import { manyTrees } from "../support/many_trees.ts";
import { until } from "../support/until.ts";

const TURNS = 20;
const CHILDREN_A_TURN = 25;
const SIDE_BY_SIDE = 22;
const TREES = 3_000;
const STARTS = 5;
/** All, if nobody says which. */
const wanted = Deno.args[0] ?? "HIJ";

const numbers = (many: number) => Array.from({ length: many }, (_, at) => at);
const child = (task_instruction: string) => ({
  tool: "start_subtask",
  input: { task_instruction, agent_type: "generalist" },
});
const end: PlayedTurn = {
  call: [{ tool: "end_task", input: { status: "success", result: "over" } }],
};
const playing = (task: string, ...turns: PlayedTurn[]) => ({ agent: "generalist", task, turns });

if (wanted.includes("H")) {
  await children("H  500 children of one task, 25 a turn", 3, [
    playing(
      "^root$",
      ...numbers(TURNS).map((turn) => ({
        call: numbers(CHILDREN_A_TURN).map((at) => child(`leaf ${turn}.${at}`)),
      })),
      end,
    ),
    playing("^leaf", end),
  ]);
}
if (wanted.includes("I")) {
  for (const slots of [3, 50]) {
    await children(`I  ${SIDE_BY_SIDE} × ${SIDE_BY_SIDE} children, ${slots} slots`, slots, [
      playing("^root$", { call: numbers(SIDE_BY_SIDE).map((at) => child(`middle ${at}`)) }, end),
      playing(
        "^middle (\\d+)$",
        { call: numbers(SIDE_BY_SIDE).map((at) => child(`leaf {{1}}.${at}`)) },
        end,
      ),
      playing("^leaf", end),
    ]);
  }
}
if (wanted.includes("J")) {
  await starts("for_slot");
  await starts("for_others");
}
Deno.exit(0);

/** Has a tree begin all its children, and says how long after the reply that asked for it each was there. */
async function children(
  name: string,
  slots: number,
  roles: readonly ReturnType<typeof playing>[],
): Promise<void> {
  const asked = new Map<string, number>();
  const took: number[] = [];
  const noting = (store: Store): Store => ({
    ...store,
    commit: async (unit) => {
      const reply = unit.find(({ parameters }) => parameters[4] === "model.replied");
      // Its mailbox.
      if (reply) asked.set(String(reply.parameters[2]), performance.now());
      const result = await store.commit(unit);
      const task = unit.find(({ sql }) => sql.startsWith('insert into "tasks"'));
      const parent = asked.get(String(task?.parameters[2]));
      if (result.ok && parent !== undefined) took.push(performance.now() - parent);
      return result;
    },
  });
  const kernel = await startKernel(
    await Deno.makeTempDir({ prefix: "troupe-bench-" }),
    { agent: import.meta.resolve("../../actors/agent.ts") },
    {
      slots,
      spare: { agent: 4 },
      between: noting,
      log: (line) => console.error(line),
      playbooks: [
        {
          name: "bench",
          title: "Bench",
          task: null,
          description: "",
          timeout_seconds: null,
          roles,
        },
      ],
      onOpen: seeded,
    },
  );
  // Workers and cells are there before anything is measured.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  const request = { instruction: "root", agent: "generalist", after_task: "none" } as const;
  const { id } = await kernel.submit({ ...request, budget: { tasks: 1_000 } });
  const over = async () => {
    const tree = await kernel.read.selectFrom("trees").select("ended_at").where("id", "=", id)
      .executeTakeFirstOrThrow();
    return tree.ended_at !== null;
  };
  await until("its end", over, 10 * 60_000);
  await kernel.stop();
  const [first, last] = [took[0], took.at(-1)!];
  took.sort((one, other) => one - other);
  console.log(
    `${name}, from the model's reply to the row: first ${ms(first)}, last ${ms(last)}, ` +
      `p50 ${ms(at(took, 0.5))}, at most ${ms(at(took, 1))} (${took.length} rows)`,
  );
}

async function seeded(store: Store): Promise<void> {
  await store.commit((await seeding(store.read, await readSeeds(), false, 1)).unit);
}

/** Starts the whole program over such a database, several times, and weighs its processes. */
async function starts(wait: "for_slot" | "for_others"): Promise<void> {
  const times: number[] = [];
  const cpu: number[] = [];
  let weights: Weights[] = [];
  for (const _ of numbers(STARTS)) {
    const DATA_DIR = await Deno.makeTempDir({ prefix: "troupe-bench-" });
    const store = await openStore(`file:${DATA_DIR}/troupe.db`);
    await seeded(store);
    const instruction = "Wait for an answer that never comes";
    const message = {
      ...{ type: "task.started", agent: "generalist", instruction, purpose: "root" },
      ...{ turns_max: 50, after_task: false },
    };
    const many = { trees: TREES, instruction, kind: "agent", agent: "generalist" };
    await store.commit(manyTrees({ ...many, wait, message }));
    await store.close();
    const begun = performance.now();
    await using troupe = await startTroupe({ env: { DATA_DIR, PORT: String(freePort()) } });
    await until("/ready", async () => {
      const response = await fetch(`${troupe.url}/ready`);
      await response.body?.cancel();
      return response.ok;
    });
    times.push(performance.now() - begun);
    cpu.push((family(troupe)).reduce((all, pid) => all + cpuOf(pid), 0));
    // What the start leaves behind is collected, and spare workers are there.
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    weights = [...weights, weigh(troupe)];
    await troupe.stop();
    await Deno.remove(DATA_DIR, { recursive: true });
  }
  const how = wait === "for_slot" ? "that wait for a slot" : "that wait for others";
  const half = (all: number[]) => at(all.toSorted((one, other) => one - other), 0.5);
  console.log(
    `J  ${TREES} trees ${how}: /ready after p50 ${ms(half(times))}, at most ` +
      `${ms(Math.max(...times))}, of which CPU of all processes p50 ${ms(half(cpu))}`,
  );
  const [rss, pss] = (["rss", "pss"] as const).map((what) => half(weights.map((one) => one[what])));
  console.log(
    `J  ${TREES} tasks ${how}: ${weights[0].processes} processes, ` +
      `RSS ${mb(rss)}, PSS ${mb(pss)} (pages that several share count once)`,
  );
}

interface Weights {
  readonly processes: number;
  readonly rss: number;
  readonly pss: number;
}

/** The memory of the launcher and of all that it has started, in KiB. */
function weigh(troupe: Troupe): Weights {
  const pids = family(troupe);
  let [rss, pss] = [0, 0];
  for (const pid of pids) {
    const rollup = said("cat", `/proc/${pid}/smaps_rollup`);
    rss += Number(/^Rss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
    pss += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
  }
  return { processes: pids.length, rss, pss };
}

/** The launcher's process and all below it. */
function family({ pid }: Troupe): number[] {
  const parents = new Map<number, number>();
  for (const line of said("ps", "-e", "-o", "pid=,ppid=").trim().split("\n")) {
    const [own, parent] = line.trim().split(/\s+/).map(Number);
    parents.set(own, parent);
  }
  const below = (one: number): boolean =>
    one === pid || (parents.has(one) && below(parents.get(one)!));
  return [...parents.keys()].filter(below);
}

/** CPU time of a process so far, in ms; its clock ticks a hundred times a second. */
function cpuOf(pid: number): number {
  // The fields behind its name: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
  const stat = said("cat", `/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" ? 0 : 10 * (Number(fields[11]) + Number(fields[12]));
}

/** What a program says: Deno itself reads procfs for nobody without every right. */
function said(program: string, ...args: string[]): string {
  const { stdout } = new Deno.Command(program, { args, stderr: "null" }).outputSync();
  return new TextDecoder().decode(stdout);
}

function mb(kib: number): string {
  return `${Math.round(kib / 1024)} MB`;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))];
}
