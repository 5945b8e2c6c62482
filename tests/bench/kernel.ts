/** A kernel in this process over a fresh database, with the bench's own kind of actor. */
import { root } from "../../actors/root.ts";
import { Kernel } from "../../runtime/kernel.ts";

export async function benchKernel(slots: number): Promise<Kernel> {
  const folder = await Deno.makeTempDir({ prefix: "troupe-bench-" });
  await Deno.mkdir(`${folder}/workspaces`);
  return await Kernel.start({
    database_url: `file:${folder}/bench.db`,
    node_id: "bench",
    workspaces: `${folder}/workspaces`,
    sockets: folder,
    code: decodeURIComponent(new URL("../../", import.meta.url).pathname),
    slots,
    timeout_seconds: 300,
    check_interval_seconds: 60,
    root,
    kinds: { workflow: import.meta.resolve("./workflow.ts") },
    spare: { workflow: Math.ceil(slots / 4) },
    playbooks: [],
    log: (line) => console.error(line),
    onOpen: () => Promise.resolve(),
  });
}
