import { simulateAll } from "./seeds.ts";

Deno.test("Nothing is lost, doubled or forgotten, whatever goes wrong: seeds 140 to 299", () =>
  simulateAll(140, 299));
