/** More viewers than descriptors. */
import { crowd } from "../support/crowd.ts";

Deno.test("a kernel with 1,024 descriptors outlives 1,100 viewers who come back again and again", async () => {
  await crowd({ viewers: 1_100, descriptors: 1_024, places: 765 });
});
