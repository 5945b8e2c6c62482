/**
 * A workspace process: all that is done with a path in one workspace is done in here, and it can reach that
 * workspace and nothing else. What it meets is hostile (links, pipes, patterns): it is killed when it takes
 * too long, and holds nothing that a link could lead to.
 */
import { WORKSPACE_FRAME_BYTES_MAX } from "../core/limits.ts";
import { reasonOf } from "../core/reason.ts";
import type { ToolOf } from "../core/toolkit/mod.ts";
import type { FilesReply } from "../ports.ts";
import { CELL, FrameWriter, NONCE, readFrames } from "./wire.ts";
import { inside, useFiles } from "./workspace_files.ts";

/** What the kernel asks of it, one after the other. */
export type WorkspaceRequest =
  | { do: "use"; tool: ToolOf<"files">; input: Record<string, unknown> }
  /** Where these paths are, as they are on disk; made as folders if wanted. */
  | { do: "resolve"; paths: readonly string[]; make: boolean }
  /** Writes these texts, by their paths. */
  | { do: "fill"; files: Readonly<Record<string, string>> };

export type WorkspaceReply =
  | { did: "use"; reply: FilesReply }
  /** Null for a path that is none in the workspace. */
  | { did: "resolve"; places: readonly (string | null)[] }
  | { did: "fill" }
  | { did: "nothing"; why: string };

const [socket, folder] = Deno.args;
const connection = await Deno.connect({ transport: "unix", path: socket });
const out = new FrameWriter(connection, () => Deno.exit(0), WORKSPACE_FRAME_BYTES_MAX);
out.write(CELL, Deno.env.get(NONCE)!);
Deno.env.delete(NONCE);
await readFrames(
  connection,
  (_, body) => void answer(JSON.parse(new TextDecoder().decode(body))),
  () => {},
  WORKSPACE_FRAME_BYTES_MAX,
);
Deno.exit(0);

async function answer(request: WorkspaceRequest): Promise<void> {
  let reply: WorkspaceReply;
  try {
    reply = await replyTo(request);
  } catch (error) {
    reply = { did: "nothing", why: reasonOf(error) };
  }
  out.write(CELL, JSON.stringify(reply));
}

async function replyTo(request: WorkspaceRequest): Promise<WorkspaceReply> {
  switch (request.do) {
    case "use":
      return { did: "use", reply: await useFiles(folder, request.tool, request.input) };
    case "resolve": {
      const places: (string | null)[] = [];
      for (const path of request.paths) places.push(await resolve(path, request.make));
      return { did: "resolve", places };
    }
    case "fill":
      for (const [path, content] of Object.entries(request.files)) {
        const place = `${folder}/${path}`;
        await Deno.mkdir(place.slice(0, place.lastIndexOf("/")), { recursive: true });
        await Deno.writeTextFile(place, content);
      }
      return { did: "fill" };
  }
}

async function resolve(path: string, make: boolean): Promise<string | null> {
  try {
    const place = path === "." ? folder : await inside(folder, path);
    if (make) await Deno.mkdir(place, { recursive: true });
    return await Deno.realPath(place).catch(() => place);
  } catch {
    return null;
  }
}
