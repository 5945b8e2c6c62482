/** The schema of what a workspace process may say. Only the kernel has it. */
import * as z from "zod";
import { TOOL_RESULT_BYTES_MAX } from "../core/limits.ts";
import { jsonOf } from "../core/text.ts";

const reply = z.discriminatedUnion("did", [
  z.strictObject({
    did: z.literal("use"),
    reply: z.strictObject({
      content: z.string().max(TOOL_RESULT_BYTES_MAX),
      media: z.strictObject({
        hash: z.string().regex(/^[0-9a-f]{64}$/),
        media_type: z.enum([
          "image/png",
          "image/jpeg",
          "image/gif",
          "image/webp",
          "application/pdf",
        ]),
        base64: z.base64(),
      }).optional(),
      is_error: z.boolean().optional(),
    }),
  }),
  z.strictObject({ did: z.literal("resolve"), places: z.array(z.string().nullable()) }),
  z.strictObject({ did: z.literal("fill") }),
  z.strictObject({ did: z.literal("nothing"), why: z.string() }),
]);

/** What it says, or null when it is something else. */
export function workspaceReply(body: Uint8Array): z.infer<typeof reply> | null {
  return reply.safeParse(jsonOf(body)).data ?? null;
}
