/** Reads the program's own source, for the tests of how it is built. */
import { CODE } from "./troupe.ts";

export interface Source {
  /** From the program's folder. */
  readonly file: string;
  /** As it stands. */
  readonly text: string;
  /** Without comments; strings are kept. */
  readonly code: string;
  readonly imports: readonly string[];
}

/** Folders of the program; not all of them are there yet. */
const FOLDERS = ["actors", "db", "deploy", "islands", "routes", "runtime", "seeds"] as const;

export async function readSources(): Promise<Source[]> {
  const files: string[] = ["main.ts"];
  const walk = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(`${CODE}${folder}`)) {
      if (isDirectory) await walk(`${folder}/${name}`);
      else if (/\.tsx?$/.test(name)) files.push(`${folder}/${name}`);
    }
  };
  for (const part of FOLDERS) {
    const known = await Deno.stat(`${CODE}${part}`).catch(() => null);
    if (known?.isDirectory) await walk(part);
  }
  return await Promise.all(
    files.sort().map(async (file) => {
      const text = await Deno.readTextFile(`${CODE}${file}`);
      const code = withoutComments(text);
      return { file, text, code, imports: importsOf(file, code) };
    }),
  );
}

/** Leaves strings and template literals as they are, and line numbers too. */
export function withoutComments(text: string): string {
  const token =
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`)|\/\*[^]*?\*\/|(?<![:\\])\/\/[^\n]*/g;
  return text.replace(token, (whole, string) => string ?? whole.replace(/[^\n]/g, " "));
}

/** What a file imports in any way, as a path from the program's folder or as it stands. */
export function importsOf(file: string, code: string): string[] {
  const patterns = [
    /\b(?:import|export)\b[^"'`;]*?\bfrom\s*["']([^"']+)["']/g,
    /\bimport\s*["']([^"']+)["']/g,
    /\bimport\s*\(\s*["']([^"']+)["']/g,
    /\bimport\.meta\.resolve\(\s*["']([^"']+)["']/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)]).map(([, specifier]) =>
    specifier.startsWith(".") ? new URL(specifier, `file:///${file}`).pathname.slice(1) : specifier
  );
}

export function withoutStrings(code: string): string {
  return code.replace(
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`/g,
    (text) => text.replace(/[^\n]/g, " "),
  );
}
