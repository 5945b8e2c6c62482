/** Texts that take more room the further they travel. */
import { bytesOf } from "../../runtime/core/text.ts";

/** Characters that grow as JSON, as UTF-8, or both. */
export const WORST: readonly (readonly [what: string, unit: string])[] = [
  ["letters", "x"],
  ["quotes", '"'],
  ["backslashes", "\\"],
  ["line ends", "\n"],
  ["control characters", "\u0001"],
  ["umlauts", "ü"],
  ["line separators", "\u2028"],
  ["emoji", "😀"],
];

/** A text of this character that takes exactly so many bytes of JSON. */
export function exactly(unit: string, bytes: number): string {
  const text = unit.repeat(Math.floor(bytes / bytesOf(unit)));
  return text + "x".repeat(bytes - bytesOf(text));
}
