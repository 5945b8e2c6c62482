/**
 * What may pass a door as text, and how much of it. Everything that travels is JSON sooner or later: texts
 * are measured as the bytes of UTF-8 JSON that they become, so that no later door finds one too long.
 *
 * One rule about characters that are none. Half of a surrogate pair becomes U+FFFD, wherever it comes from.
 * NUL ends a text in SQLite: a person who sends one is told so, what a machine said gets U+FFFD for it, and
 * the store refuses what still has one.
 */

/** What stands for a character that is none. */
const REPLACEMENT = "\uFFFD";

export function hasNul(text: string): boolean {
  return text.includes("\0");
}

/** The text without NUL and halves of pairs. */
export function wellFormed(text: string): string {
  return text.toWellFormed().replaceAll("\0", REPLACEMENT);
}

/** The same for every text and every name in a JSON value. */
export function wellFormedWithin<T>(value: T): T {
  // Here and below: each text stays a text, and all else is as it was.
  return mapped(value, wellFormed) as T;
}

/** Halves of pairs repaired in every text of a JSON value; NUL stays, for who tells it to a person. */
export function pairedWithin<T>(value: T): T {
  return mapped(value, (text) => text.toWellFormed()) as T;
}

/** Path to the first text in a JSON value that has a NUL; null when none has. */
export function nulWithin(value: unknown): string[] | null {
  if (typeof value === "string") return hasNul(value) ? [] : null;
  if (value === null || typeof value !== "object") return null;
  for (const [name, inner] of Object.entries(value)) {
    if (hasNul(name)) return [];
    const path = nulWithin(inner);
    if (path) return [name, ...path];
  }
  return null;
}

function mapped(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((inner) => mapped(inner, change));
  // What is no JSON, an uploaded file for one, is left to the schema.
  if (value === null || typeof value !== "object" || !isPlain(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [change(name), mapped(inner, change)]),
  );
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/**
 * Whether a JSON text may say NUL or half of a pair: it has neither as it stands, only as an escape. A
 * quick look that is sometimes wrong: what it finds may be a backslash and a word.
 */
export function maySayIllFormed(json: string): boolean {
  return json.includes("\\u") && /\\u(?:0000|[dD][89a-fA-F])/.test(json);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** What a body says, in well-formed texts; or undefined, which fits no schema. */
export function jsonOf(body: Uint8Array): unknown {
  try {
    const json = utf8.decode(body);
    const said = JSON.parse(json);
    return maySayIllFormed(json) ? wellFormedWithin(said) : said;
  } catch {
    return undefined;
  }
}

/** Bytes of what is JSON already. */
export function bytesOfJson(json: string): number {
  return new TextEncoder().encode(json).length;
}

/** Bytes of a text inside UTF-8 JSON, without its quotes. */
export function bytesOf(text: string): number {
  return bytesUpTo(text, Infinity).bytes;
}

/** Whether a text takes at most so many bytes of UTF-8 JSON; short ones are not even read. */
export function fits(text: string, bytes: number): boolean {
  return text.length * BYTES_PER_UNIT_MAX <= bytes || bytesUpTo(text, bytes).end === text.length;
}

/** As much of a text's beginning as takes at most so many bytes; never half a character. */
export function cutToBytes(text: string, bytes: number): string {
  return fits(text, bytes) ? text : text.slice(0, bytesUpTo(text, bytes).end);
}

/** The same of its end. */
function tailOfBytes(text: string, bytes: number): string {
  let [start, taken] = [text.length, 0];
  while (start > 0) {
    const before = isPairAt(text, start - 2) ? 2 : 1;
    taken += unitBytes(text, start - before);
    if (taken > bytes) break;
    start -= before;
  }
  return text.slice(start);
}

/**
 * Head and tail of a text that is too long; the text itself when it fits.
 * @param bytes most bytes of UTF-8 JSON of the whole
 * @param between what stands for the characters that are left out, by their number
 */
export function headAndTailInBytes(
  text: string,
  bytes: number,
  between: (left_out: number) => string,
): string {
  if (fits(text, bytes)) return text;
  const mark = bytesOf(`\n${between(text.length)}\n`);
  const half = Math.max(0, Math.floor((bytes - mark) / 2));
  const [head, tail] = [cutToBytes(text, half), tailOfBytes(text, half)];
  return `${head}\n${between(text.length - head.length - tail.length)}\n${tail}`;
}

/**
 * Head and tail of a text that is too long; the text itself when it fits.
 * @param chars most characters that are kept of it
 * @param between what stands for the characters that are left out, by their number
 */
export function headAndTail(
  text: string,
  chars: number,
  between: (left_out: number) => string,
): string {
  if (text.length <= chars) return text;
  const half = Math.floor(chars / 2);
  const tail = text.slice(text.length - half);
  return `${text.slice(0, half)}\n${between(text.length - 2 * half)}\n${tail}`;
}

/** A control character, as `\u0001`. */
const BYTES_PER_UNIT_MAX = 6;

/** How far into a text so many bytes reach, and how many of them it took. */
function bytesUpTo(text: string, bytes_max: number): { end: number; bytes: number } {
  let [end, bytes] = [0, 0];
  while (end < text.length) {
    const more = unitBytes(text, end);
    if (bytes + more > bytes_max) break;
    bytes += more;
    end += isPairAt(text, end) ? 2 : 1;
  }
  return { end, bytes };
}

/** Bytes of the character that begins there, as `JSON.stringify` and UTF-8 have it. */
function unitBytes(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code < 0x20) return SHORT_ESCAPES.has(code) ? 2 : 6;
  if (code < 0x80) return code === 0x22 || code === 0x5c ? 2 : 1;
  if (code < 0x800) return 2;
  if (code < 0xd800 || code > 0xdfff) return 3;
  return isPairAt(text, at) ? 4 : 6;
}

/** \b \t \n \f \r */
const SHORT_ESCAPES: ReadonlySet<number> = new Set([8, 9, 10, 12, 13]);

function isPairAt(text: string, at: number): boolean {
  return at >= 0 && (text.charCodeAt(at) & 0xfc00) === 0xd800 &&
    (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}
