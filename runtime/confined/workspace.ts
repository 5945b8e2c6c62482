/** The folder of a tree, and paths in it that an agent was granted. */
import { Refusal } from "../core/refusal.ts";

/** A tree's folder as it is on disk, made if it is not there. */
export async function workspaceOf(workspaces: string, tree_id: string): Promise<string> {
  const folder = `${workspaces}/${tree_id}`;
  await Deno.mkdir(folder, { recursive: true });
  return await Deno.realPath(folder);
}

/**
 * A granted path as it is on disk.
 * @throws {Refusal} for a link that leads out of the workspace: it is no path in it
 */
export async function within(workspace: string, path: string, make: boolean): Promise<string> {
  const whole = path === "." ? workspace : `${workspace}/${path}`;
  const real = await Deno.realPath(whole).catch(async (error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    if (make) await Deno.mkdir(whole, { recursive: true });
    return whole;
  });
  if (real === workspace || real.startsWith(`${workspace}/`)) return real;
  throw new Refusal("permissions", `${path} leads out of the workspace`);
}
