/** What the workspace tools do: reads, writes and searches one folder, in the process that has only that. */
import { headAndTailInBytes } from "../core/text.ts";
import {
  FILE_BYTES_MAX,
  LISTED_FILES_MAX,
  MEDIA_BYTES_MAX,
  SEARCH_LINE_CHARS_MAX,
  SEARCH_MATCHES_MAX,
  TOOL_RESULT_BYTES_MAX,
} from "../core/limits.ts";
import type { ToolOf } from "../core/toolkit/mod.ts";
import type { FilesReply } from "../ports.ts";
import { reasonOf } from "../core/reason.ts";

/** What is wrong with a call, in words for the model that made it. */
class Complaint extends Error {}

/** One call of a workspace tool. What is wrong with it comes back as an error result. */
export async function useFiles(
  folder: string,
  tool: ToolOf<"files">,
  input: Record<string, unknown>,
): Promise<FilesReply> {
  try {
    // Each tool's own schema has checked its input.
    if (tool === "read_file") return await readAny(folder, input as unknown as FileLines);
    return { content: cut(await use(folder, tool, input)) };
  } catch (error) {
    const path = typeof input.path === "string" ? input.path : undefined;
    return { content: sentence(error, path), is_error: true };
  }
}

async function use(
  folder: string,
  tool: Exclude<ToolOf<"files">, "read_file">,
  input: Record<string, unknown>,
): Promise<string> {
  // Each tool's own schema has checked that these are texts.
  const path = (input.path as string | undefined) ?? ".";
  switch (tool) {
    case "write_file":
      return await write(folder, path, input.content as string);
    case "edit_file":
      return await edit(folder, path, input.old_text as string, input.new_text as string);
    case "list_files":
      return await list(folder, path);
    case "search_files":
      return await search(folder, path, input.pattern as string);
  }
}

/**
 * The real place of a path, refused when it is outside of the workspace: by `..`, as an absolute
 * path, or through a symbolic link.
 */
export async function inside(folder: string, path: string): Promise<string> {
  const outside = new Complaint(`${path} is outside of the workspace: use a path relative to it`);
  if (path.includes("\0") || path.startsWith("/") || path.split(/[\\/]/).includes("..")) {
    throw outside;
  }
  const root = await Deno.realPath(folder);
  const whole = `${root}/${path}`;
  // The longest part that exists decides: what does not exist yet cannot be a link.
  for (let known = whole; known.length > root.length; known = known.replace(/\/[^/]*$/, "")) {
    try {
      const real = await Deno.realPath(known);
      if (real !== root && !real.startsWith(`${root}/`)) throw outside;
      break;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw outside;
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      // A link that leads nowhere would be followed by a write.
      const link = await Deno.lstat(known).catch(() => null);
      if (link?.isSymlink) throw outside;
    }
  }
  return whole;
}

const BY_LINES = "read by lines";

interface FileLines {
  readonly path: string;
  readonly from_line?: number;
  readonly to_line?: number;
}

/** A picture or a PDF is shown to the model as it is; anything else has to be text. */
async function readAny(folder: string, lines: FileLines): Promise<FilesReply> {
  const { path } = lines;
  const place = await inside(folder, path);
  const media_type = await mediaTypeOf(place);
  if (!media_type) return { content: await read(place, lines) };
  const { size } = await Deno.stat(place);
  if (size > MEDIA_BYTES_MAX) {
    throw new Complaint(
      `${path} has ${size} bytes, more than the ${MEDIA_BYTES_MAX} that are shown`,
    );
  }
  const bytes = await Deno.readFile(place);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return {
    content: `${path}: ${media_type}, ${size} bytes`,
    media: { hash: digest.toHex(), media_type, base64: bytes.toBase64() },
  };
}

/** What the first bytes say, of those kinds that a model can look at; null for any other. */
async function mediaTypeOf(place: string): Promise<string | null> {
  const { isFile } = await Deno.stat(place);
  if (!isFile) return null;
  using file = await Deno.open(place);
  const head = new Uint8Array(12);
  const read = await file.read(head) ?? 0;
  const latin = String.fromCharCode(...head.subarray(0, read));
  return MAGIC.find(([magic]) => magic.test(latin))?.[1] ?? null;
}

const MAGIC: readonly [RegExp, string][] = [
  [/^\x89PNG\r\n/, "image/png"],
  [/^\xff\xd8\xff/, "image/jpeg"],
  [/^GIF8[79]a/, "image/gif"],
  [/^RIFF[^]{4}WEBP/, "image/webp"],
  [/^%PDF-/, "application/pdf"],
];

async function read(
  place: string,
  { path, from_line = 1, to_line = Infinity }: FileLines,
): Promise<string> {
  const text = await textOf(place, path);
  if (from_line === 1 && to_line === Infinity) return cut(text, BY_LINES);
  const lines = text.split("\n");
  if (from_line > lines.length) {
    throw new Complaint(`${path} has ${lines.length} lines; there is no line ${from_line}`);
  }
  return cut(lines.slice(from_line - 1, to_line).join("\n"), BY_LINES);
}

async function textOf(place: string, path: string): Promise<string> {
  const { size, isDirectory, isFile } = await Deno.stat(place);
  if (isDirectory) throw new Complaint(`${path} is a folder: use list_files`);
  if (!isFile) throw new Complaint(`${path} is no regular file`);
  if (size > FILE_BYTES_MAX) {
    throw new Complaint(`${path} has ${size} bytes, more than the ${FILE_BYTES_MAX} that are read`);
  }
  const bytes = await Deno.readFile(place);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Complaint(`${path} is not text in UTF-8`);
  }
}

async function write(folder: string, path: string, content: string): Promise<string> {
  const size = new TextEncoder().encode(content).length;
  if (size > FILE_BYTES_MAX) {
    throw new Complaint(`The content has ${size} bytes, more than ${FILE_BYTES_MAX}`);
  }
  const place = await inside(folder, path);
  await Deno.mkdir(place.replace(/\/[^/]*$/, ""), { recursive: true });
  await replace(place, content);
  return `Wrote ${path} (${size} bytes)`;
}

/** A file is either the old one or the new one, also after a crash in between. */
async function replace(place: string, content: string): Promise<void> {
  const fresh = `${place}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await Deno.writeTextFile(fresh, content, { createNew: true });
    await Deno.rename(fresh, place);
  } catch (error) {
    await Deno.remove(fresh).catch(() => {});
    throw error;
  }
}

async function edit(
  folder: string,
  path: string,
  old_text: string,
  new_text: string,
): Promise<string> {
  const place = await inside(folder, path);
  const text = await textOf(place, path);
  const times = text.split(old_text).length - 1;
  if (times !== 1) {
    throw new Complaint(`old_text stands ${times} times in ${path}; it must stand there once`);
  }
  await replace(place, text.replace(old_text, () => new_text));
  return `Edited ${path}`;
}

async function list(folder: string, path: string): Promise<string> {
  const lines: string[] = [];
  for await (const file of walk(await inside(folder, path))) {
    if (lines.length === LISTED_FILES_MAX) {
      lines.push(`(more than ${LISTED_FILES_MAX}: name a folder)`);
      break;
    }
    lines.push(`${file.relative} (${file.size} bytes)`);
  }
  return lines.join("\n") || "(no files)";
}

async function search(folder: string, path: string, pattern: string): Promise<string> {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern, "u");
  } catch (error) {
    throw new Complaint(`The pattern is not a regular expression: ${reasonOf(error)}`);
  }
  const root = await inside(folder, path);
  const { isFile } = await Deno.stat(root);
  const files = isFile ? [{ place: root, relative: path }] : walk(root);
  const matches: string[] = [];
  for await (const { place, relative } of files) {
    const text = await textOf(place, relative).catch(() => "");
    for (const [index, line] of text.split("\n").entries()) {
      if (!expression.test(line)) continue;
      matches.push(`${relative}:${index + 1}: ${line.slice(0, SEARCH_LINE_CHARS_MAX)}`);
      if (matches.length < SEARCH_MATCHES_MAX) continue;
      return [...matches, `(more than ${SEARCH_MATCHES_MAX}: search for less)`].join("\n");
    }
  }
  return matches.join("\n") || "(no matches)";
}

/**
 * The regular files below a folder by name; links, and what cannot be looked at, are left alone. Not by
 * recursion, which folders in one another would make too deep.
 */
async function* walk(
  root: string,
): AsyncGenerator<{ place: string; relative: string; size: number }> {
  const next = await inFolder(root, "");
  for (let one = next.pop(); one; one = next.pop()) {
    const { relative, isDirectory, isFile } = one;
    if (isDirectory) next.push(...await inFolder(root, relative).catch(() => []));
    if (!isFile) continue;
    const place = `${root}/${relative}`;
    const found = await Deno.lstat(place).catch(() => null);
    if (found?.isFile) yield { place, relative, size: found.size };
  }
}

/** What stands in a folder, the last name first. */
async function inFolder(root: string, below: string) {
  const entries = await Array.fromAsync(
    Deno.readDir(`${root}/${below}`),
    ({ name, ...kind }) => ({ ...kind, relative: below ? `${below}/${name}` : name }),
  );
  return entries.sort((a, b) => a.relative < b.relative ? 1 : -1);
}

function cut(text: string, how = "ask for less"): string {
  return headAndTailInBytes(
    text,
    TOOL_RESULT_BYTES_MAX,
    (left_out) => `… ${left_out} characters left out: ${how} …`,
  );
}

function sentence(error: unknown, path = "."): string {
  if (error instanceof Complaint) return error.message;
  if (error instanceof Deno.errors.NotFound) return `There is no ${path} in the workspace`;
  if (error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.IsADirectory) {
    return `${path} is not what it would have to be: a file is where a folder should be, or the reverse`;
  }
  if (error instanceof Deno.errors.FilesystemLoop) return `${path} is a loop of links`;
  // The place itself stays out of it: it is the machine's business.
  return `The file system refused ${path}: ${error instanceof Error ? error.name : error}`;
}
