/**
 * A kernel whose store worker is ended in the middle of its work. Arguments: the folder, and after how
 * many ms.
 */
import { beginActor, startKernel } from "./kernel.ts";

const [folder, ms] = Deno.args;
const kinds = { workflow: import.meta.resolve("../bench/workflow.ts") };
const kernel = await startKernel(folder, kinds);
await beginActor(kernel, "workflow", { type: "step", left: 300 });
setTimeout(() => kernel.store.crash(), Number(ms));
console.log(await kernel.gone);
Deno.exit(70);
