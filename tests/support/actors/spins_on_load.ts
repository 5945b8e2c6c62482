/** Spins while its module is loaded. */
import { type Actor } from "../../../runtime/core/actor.ts";

for (;;) if (Math.random() > 1) break;

export default {} as Actor<null, { type: string }>;
