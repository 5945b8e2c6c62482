/** The talks of a test file, one after the other with the same kernel: a start costs more than ten of them. */
import { finished } from "./agents.ts";
import type { Answer } from "./messages_server.ts";
import { type Differing, type Talk, talk } from "./talk.ts";
import { until } from "./until.ts";

/**
 * Starts the kernel before the file's tests, and stops it after them. Each call of what it gives is a talk
 * with an answer of its own, which hears only what is asked while it lasts; its end ends what it began.
 */
export function talksInTurn(differing: Differing = {}): (answer: Answer) => Talk {
  const nobody: Answer = ({ task }) => {
    throw new Error(`Nobody talks to ${task}`);
  };
  let whole: Talk;
  let answering = nobody;
  Deno.test.beforeAll(async () => {
    whole = await talk((asked) => answering(asked), differing);
  });
  Deno.test.afterAll(async () => await whole[Symbol.asyncDispose]());
  return (answer) => {
    if (answering !== nobody) throw new Error("The talk before this one is not over");
    const asked: Talk["asked"] = [];
    answering = (one) => {
      asked.push(one);
      return answer(one);
    };
    return {
      ...whole,
      asked,
      [Symbol.asyncDispose]: async () => {
        await ending(whole);
        answering = nobody;
      },
    };
  };
}

/** Ends every tree; nothing of them is asked or runs any more. */
async function ending({ kernel }: Talk): Promise<void> {
  const open = await kernel.read.selectFrom("trees").select("id").where("ended_at", "is", null)
    .execute();
  for (const { id: tree_id } of open) {
    const stop = { verb: "stop_tree", tree_id, reason: "its test is over" } as const;
    await kernel.dispatch(stop, { type: "system", part: "test" });
    await finished(kernel, tree_id);
  }
  await until("nothing to be under way", async () => {
    const views = await kernel.gateway.views();
    return kernel.load.running === 0 &&
      views.every(({ under_way, waiting }) => under_way === 0 && waiting === 0);
  });
}
