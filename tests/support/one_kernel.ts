/** One kernel for all tests of a file that need nothing of their own: each has its own tasks. */
import type { Script } from "./agents.ts";
import { tempFolder } from "./folder.ts";
import type { TestKernel } from "./kernel.ts";

/** @param start called once, before the first test, with what all of them want to be said */
export async function oneKernel(start: (folder: string, script: Script) => Promise<TestKernel>) {
  const script: Script = {};
  const folder = await tempFolder();
  let kernel: TestKernel;
  Deno.test.beforeAll(async () => {
    kernel = await start(folder.path, script);
  });
  Deno.test.afterAll(async () => {
    await kernel?.stop();
    await folder[Symbol.asyncDispose]();
  });
  return {
    folder: folder.path,
    /** A test whose tasks say this. */
    together(name: string, own: Script, run: (kernel: TestKernel) => Promise<void>): void {
      Object.assign(script, own);
      Deno.test(name, () => run(kernel));
    },
  };
}
