/** The schema of what a tool cell may send: one report of its one call. Only the kernel has it. */
import * as z from "zod";
import { jsonOf } from "../core/text.ts";

const report = z.discriminatedUnion("ok", [
  z.strictObject({ ok: z.literal(true), value: z.unknown() }),
  z.strictObject({ ok: z.literal(false), error: z.string() }),
]);

/** What a tool cell says of its one call, or null when it says something else. */
export function toolReport(body: Uint8Array): z.infer<typeof report> | null {
  return report.safeParse(jsonOf(body)).data ?? null;
}
