/** What one door admits no later one refuses: the largest texts go the whole way from door to prompt. */
import assert from "node:assert/strict";
import agent, { type AgentMessage, type AgentState } from "../../actors/agent.ts";
import { claimActor, claimOf } from "../../db/actors.ts";
import { deliveredOf, enqueue, takeFirst } from "../../db/envelopes.ts";
import { addTask, type NewTask } from "../../db/tasks.ts";
import { answerIn } from "../../runtime/cells/frames.ts";
import { begin } from "../../runtime/core/command.ts";
import type { Next } from "../../runtime/core/actor.ts";
import {
  CHILD_INSTRUCTION_BYTES_MAX,
  FRAME_BYTES_MAX,
  INSTRUCTION_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  RESULT_BYTES_MAX,
  STATE_BYTES_MAX,
} from "../../runtime/core/limits.ts";
import { type ModelReply, NO_USAGE } from "../../runtime/core/model/messages.ts";
import { conversation } from "../../runtime/core/model/prompt.ts";
import { bytesOf, bytesOfJson } from "../../runtime/core/text.ts";
import { settle } from "../../runtime/loop/settle.ts";
import { ulids } from "../../runtime/ports.ts";
import { addTestTree, type TempStore, tempStore } from "../support/store.ts";
import { exactly, WORST } from "../support/texts.ts";

const started = (instruction: string, after_task: boolean): AgentMessage => ({
  type: "task.started",
  agent: "generalist",
  instruction,
  purpose: "subtask",
  turns_max: 50,
  after_task,
});

const replied = (content: ModelReply["content"], turn = 1): AgentMessage => ({
  type: "model.replied",
  turn,
  model: "test",
  content,
  stop_reason: "tool_use",
  usage: NO_USAGE,
});

const ends = (result: string): AgentMessage =>
  replied([{
    type: "tool_use",
    id: "end",
    name: "end_task",
    input: { status: "success", result },
  }]);

/** What a task does with such an instruction and such a result. */
function lastStep(instruction: string, reply: AgentMessage, after_task = false): Next<AgentState> {
  const first = agent.receive(agent.initial, started(instruction, after_task));
  return agent.receive(first.state, reply);
}

/** The step as its worker sends it. */
function frameOf({ state, ...step }: Next<AgentState>): Uint8Array {
  const answer = { envelope: "e", state: JSON.stringify(state), ...step };
  return new TextEncoder().encode(JSON.stringify(answer));
}

/** A subtask that a call of the root waits for. */
async function addSubtask(db: TempStore): Promise<{ root_id: string; id: string }> {
  const { tree_id, root_id } = await addTestTree(db);
  const id = ulids.next();
  const task: NewTask = {
    ...{ id, tree_id, parent_id: root_id, call_id: "call", effect_key: null },
    ...{ purpose: "subtask", agent: "generalist", agent_version: 1, instruction: "Work" },
    ...{ depth: 1, timeout_seconds: 60 },
  };
  const message = { type: "task.started" };
  await db.commit([
    ...addTask(task, "agent", 1),
    enqueue({ id: ulids.next(), tree_id, to: id, from: root_id, message }, 1),
  ]);
  return { root_id, id };
}

async function claimed(db: TempStore, address: string) {
  const claiming = claimActor({ address, owner: "me", now: 1, lease_until: 1000 });
  const taking = takeFirst({ address, now: 1 });
  const rows = await db.commit([claiming, taking]);
  return { claim: claimOf(rows.of(claiming)[0]), delivered: deliveredOf(rows.of(taking))! };
}

for (const [what, unit] of WORST) {
  Deno.test(`a result of ${what} at the limit goes the whole way into its parent's prompt`, async () => {
    await using db = await tempStore({ seeded: true });
    const { root_id, id } = await addSubtask(db);
    const result = exactly(unit, RESULT_BYTES_MAX);
    const step = answerIn(frameOf(lastStep("Work", ends(result))));
    assert.ok(step.success, String(step.error));
    const { claim, delivered } = await claimed(db, id);
    await db.commit(settle(claim, delivered, step.data, ulids, 2).unit);
    // Behind the envelope that began it.
    const [, told] = await db.store.read.selectFrom("envelopes").select(["message_json"])
      .where("to_address", "=", root_id).orderBy("seq").execute();
    assert.ok(bytesOfJson(told.message_json) <= MESSAGE_BYTES_MAX);
    const message = JSON.parse(told.message_json);
    assert.equal(JSON.parse(message.content).result, result);
    const asked = replied([{ type: "tool_use", id: "call", name: "start_subtask", input: {} }]);
    const prompt = JSON.stringify(conversation([asked, message]));
    assert.ok(prompt.includes(JSON.stringify(message.content)));
  });

  Deno.test(`a result of ${what} with one byte more is refused where it is handed in`, () => {
    const step = lastStep("Work", ends(exactly(unit, RESULT_BYTES_MAX + 1)));
    assert.equal(step.ending, undefined);
    const [note] = step.effects;
    assert.ok(note.type === "note");
    assert.match(
      String(note.message.content),
      /longer than 102400 bytes of JSON: write it to a file/,
    );
  });

  Deno.test(`an instruction of ${what} is admitted up to its limit, and begins its task`, () => {
    const asked = (bytes: number) =>
      begin.safeParse({ verb: "begin", instruction: exactly(unit, bytes).trim() || "x" });
    assert.ok(asked(INSTRUCTION_BYTES_MAX).success);
    const over = `a${exactly(unit, INSTRUCTION_BYTES_MAX - 1)}a`;
    assert.equal(begin.safeParse({ verb: "begin", instruction: over }).success, false);
  });

  Deno.test(`a task with the longest instruction and result of ${what} may end, and be followed`, () => {
    const instruction = exactly(unit, CHILD_INSTRUCTION_BYTES_MAX);
    const step = lastStep(instruction, ends(exactly(unit, RESULT_BYTES_MAX)), true);
    assert.ok(bytesOfJson(JSON.stringify(step.state)) <= STATE_BYTES_MAX);
    const frame = frameOf(step);
    assert.ok(frame.length <= FRAME_BYTES_MAX, `${frame.length} bytes`);
    const answer = answerIn(frame);
    assert.ok(answer.success, String(answer.error));
    for (const effect of step.effects) {
      assert.ok(effect.type === "start_child");
      // Room for the end of the journal.
      assert.ok(bytesOf(effect.instruction) <= CHILD_INSTRUCTION_BYTES_MAX - 25_000);
    }
  });

  Deno.test(`a last reply of ${what} that is no result by itself is cut to one`, () => {
    const first = agent.receive(agent.initial, started("Work", false));
    const text = `a${exactly(unit, 3 * RESULT_BYTES_MAX)}a`;
    let step: Next<AgentState> = first;
    for (let turn = 1; !step.ending && turn < 10; turn++) {
      step = agent.receive(step.state, replied([{ type: "text", text }], turn));
    }
    assert.ok(answerIn(frameOf(step)).success);
    assert.match(step.ending!.result!, /characters are left out/);
  });
}

Deno.test("a message that is too large for its receiver is refused where it is sent", () => {
  const sent = (bytes: number) => {
    const message = { type: "x", text: "" };
    message.text = "x".repeat(bytes - bytesOfJson(JSON.stringify(message)));
    return answerIn(new TextEncoder().encode(JSON.stringify({
      envelope: "e",
      state: "{}",
      effects: [{ type: "send", to: "other", message }],
    })));
  };
  assert.ok(sent(MESSAGE_BYTES_MAX).success);
  assert.match(sent(MESSAGE_BYTES_MAX + 1).error!.message, /a message is longer than 921600 bytes/);
});

Deno.test("what an actor says has well-formed texts, whatever it said", () => {
  const answer = {
    envelope: "e",
    state: "{}",
    effects: [],
    ending: { status: "done", result: "a\0\ud83d" },
  };
  const read = answerIn(new TextEncoder().encode(JSON.stringify(answer)));
  assert.equal(read.data!.ending!.result, "a\uFFFD\uFFFD");
});
