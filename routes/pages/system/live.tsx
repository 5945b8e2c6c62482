/** The system page's updates: all of it, whenever anything in it looks different. */
import { render } from "preact-render-to-string";
import { SYSTEM_LOOK_MS } from "../../../runtime/core/limits.ts";
import type { Kernel } from "../../../runtime/kernel.ts";
import { readSystem } from "../../api/system.ts";
import { Differ } from "../../frame/differ.ts";
import type { LivePage } from "../../frame/stream.ts";
import { SYSTEM_ID, SystemPage } from "./page.tsx";

export function liveSystem(kernel: Kernel): LivePage {
  const differ = new Differ();
  return {
    look_ms: SYSTEM_LOOK_MS,
    async changes() {
      const read = { system: await readSystem(kernel), now: kernel.clock.now() };
      return differ.changed([{ id: SYSTEM_ID, html: render(<SystemPage {...read} />) }]);
    },
    whole: () => Promise.resolve(differ.whole([SYSTEM_ID])),
  };
}
