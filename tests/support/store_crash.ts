/**
 * A kernel whose store worker is ended in the middle of its work (`crash MS`), or one that finishes
 * what earlier ones left (`finish`). Arguments: the folder, then one of these.
 */
import { beginActor, startKernel } from "./kernel.ts";

const [folder, what, ms] = Deno.args;
const kinds = { workflow: import.meta.resolve("../bench/workflow.ts") };
const kernel = await startKernel(folder, kinds);
if (what === "crash") {
  await beginActor(kernel, "workflow", { type: "step", left: 300 });
  setTimeout(() => kernel.store.crash(), Number(ms));
  console.log(await kernel.gone);
  Deno.exit(70);
}
for (;;) {
  const rows = await kernel.read.selectFrom("tasks").select(["status"]).execute();
  if (rows.every(({ status }) => status === "done")) {
    const { n } = await kernel.read.selectFrom("entries")
      .select(({ fn }) => fn.countAll<number>().as("n"))
      .where("received", "=", 1).executeTakeFirstOrThrow();
    console.log(`${rows.length} workflows done, ${n} steps`);
    await kernel.stop();
    Deno.exit(0);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}
