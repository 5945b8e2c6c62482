/** The environment that Troupe starts with: the process's own, then what a `.env` file adds. */
import { parseEnv } from "node:util";
import { SURROUNDINGS, VARIABLES } from "../runtime/core/launch.ts";

/** Reads the variables that Troupe knows. What the process has goes before the file. */
export async function load(): Promise<Record<string, string>> {
  const file = await Deno.readTextFile(new URL("../.env", import.meta.url)).catch(() => "");
  const all: Record<string, string | undefined> = { ...parseEnv(file) };
  for (const name of VARIABLES) all[name] = Deno.env.get(name) ?? all[name];
  return Object.fromEntries(
    VARIABLES.flatMap((name) => all[name] === undefined ? [] : [[name, all[name]!]]),
  );
}

/** What the kernel takes of the process's own environment besides. */
export function surroundings(): Record<string, string> {
  return Object.fromEntries(
    SURROUNDINGS.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
