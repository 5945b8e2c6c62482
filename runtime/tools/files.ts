/** The tools of the workspace's files: what they read and write is the files actor's business. */
import { answer, type ToolPerformer } from "../commands/outcome.ts";
import { nameBy } from "../core/toolkit/mod.ts";
import type { Files } from "../ports.ts";

/** A result with a picture or document: the journal names it, and its bytes are kept beside. */
export function files({ files }: { readonly files: Files }): ToolPerformer {
  return {
    perform: async ({ tree_id, tool, input, call_id }, signal) => {
      const call = { tree_id, tool: nameBy("files", tool), input };
      const { media, ...said } = await files.use(call, signal);
      const reply = answer(call_id, said);
      if (!media) return { type: "replied", reply };
      const { hash, media_type } = media;
      return {
        type: "replied",
        reply: { ...reply, media: [{ hash, media_type }] },
        command: { verb: "keep_media", ...media },
      };
    },
  };
}
