/** The schemas of what cells and their workers may send. Only the kernel has them: a cell has no npm. */
import * as z from "zod";
import {
  CALL_CHARS_MAX,
  CALLS_PER_TURN_MAX,
  EFFECTS_PER_STEP_MAX,
  FAILURE_CHARS_MAX,
  ID_CHARS_MAX,
  MESSAGE_BYTES_MAX,
  NAME_CHARS_MAX,
  RESULT_BYTES_MAX,
  STATE_BYTES_MAX,
  TIMER_MAX_MS,
  WORKERS_PER_CELL_MAX,
} from "../core/limits.ts";
import type { Step } from "../core/actor.ts";
import type { Effect } from "../core/protocol.ts";
import { bytesOfJson, fits, jsonOf } from "../core/text.ts";

const id = z.string().min(1).max(ID_CHARS_MAX);
const message = z.looseObject({ type: z.string().min(1).max(NAME_CHARS_MAX) });
const text = z.string().refine(
  (text) => fits(text, RESULT_BYTES_MAX),
  `a text is longer than ${RESULT_BYTES_MAX} bytes of JSON`,
);
const state = z.string().refine(
  // UTF-8 has at most three bytes for a unit of UTF-16.
  (state) => state.length * 3 <= STATE_BYTES_MAX || bytesOfJson(state) <= STATE_BYTES_MAX,
  `its state is longer than ${STATE_BYTES_MAX} bytes`,
);

/** Agents may start children of their own only for what follows a task. */
const effect: z.ZodType<Effect> = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("send"), to: id, message }),
  z.strictObject({
    type: z.literal("after"),
    name: id,
    delay_ms: z.number().min(0).max(TIMER_MAX_MS),
    message,
  }),
  z.strictObject({ type: z.literal("note"), message }),
  z.strictObject({ type: z.literal("ask_model"), turn: z.int().min(1) }),
  z.strictObject({
    type: z.literal("call_tool"),
    call_id: z.string().min(1).max(CALL_CHARS_MAX),
    name: z.string().max(CALL_CHARS_MAX),
    input: z.unknown(),
  }),
  z.strictObject({
    type: z.literal("start_child"),
    agent: id,
    purpose: z.enum(["evaluation", "documentation", "summary"]),
    instruction: z.string(),
  }),
  z.strictObject({ type: z.literal("drop_effects") }),
  z.strictObject({ type: z.literal("stuck"), reason: text }),
]);

export const fromWorker: z.ZodType<Step> = z.strictObject({
  envelope: id,
  state,
  effects: z.array(effect).max(Math.max(EFFECTS_PER_STEP_MAX, CALLS_PER_TURN_MAX)),
  ending: z.strictObject({
    status: z.enum(["done", "failed", "cancelled"]),
    result: text.nullable(),
    summary: text.optional(),
    reason: text.optional(),
  }).optional(),
});

const withLargeMessages = fromWorker.refine(
  ({ effects }) =>
    effects.every((effect) =>
      !("message" in effect) || bytesOfJson(JSON.stringify(effect.message)) <= MESSAGE_BYTES_MAX
    ),
  `a message is longer than ${MESSAGE_BYTES_MAX} bytes`,
);

/** What a worker says. Only a large body is looked through for messages that are too large. */
export function answerIn(body: Uint8Array): z.ZodSafeParseResult<Step> {
  const schema = body.length > MESSAGE_BYTES_MAX ? withLargeMessages : fromWorker;
  return schema.safeParse(jsonOf(body));
}

export const fromCell = z.discriminatedUnion("t", [
  z.strictObject({
    t: z.literal("failed"),
    worker: z.int(),
    reason: z.string().max(FAILURE_CHARS_MAX),
  }),
  z.strictObject({
    t: z.literal("beat"),
    workers: z.array(z.int()).max(WORKERS_PER_CELL_MAX),
  }),
]);

export type FromCell = z.infer<typeof fromCell>;
