/** Is never there: its module waits for ever while it is loaded. */
import { type Actor } from "../../../runtime/core/actor.ts";

await new Promise(() => setInterval(() => {}, 1_000));

export default {} as Actor<null, { type: string }>;
