/** Workspaces and the removal of folders over a folder of the test's own. */
import { Removal } from "../../runtime/confined/removal.ts";
import { type Layers, probeLayers } from "../../runtime/confined/sandbox.ts";
import { Workspaces } from "../../runtime/confined/workspaces.ts";
import { type Clock, systemClock } from "../../runtime/ports.ts";
import { CODE } from "./troupe.ts";

/** @param folder as it is on disk; holds `workspaces` and `trash` then */
export async function workspacesIn(
  folder: string,
  { clock = systemClock, layers }: { clock?: Clock; layers?: Layers } = {},
) {
  const around = layers ?? await probeLayers();
  const [path, trash] = [`${folder}/workspaces`, `${folder}/trash`];
  for (const place of [path, trash]) await Deno.mkdir(place, { recursive: true });
  const config = { workspaces: path, sockets: folder, code: CODE, layers: around };
  const workspaces = new Workspaces(config, clock, () => {});
  return { path, layers: around, workspaces, removal: new Removal(trash, around, () => {}) };
}
