/**
 * One name, one meaning: a type is declared once in the whole program, exported or not. What is one file's
 * own is no exception: who opens the next file has read this one. An actor's state and message are called
 * after it, too (`AgentState`, `AgentMessage`). A type's parameters are not counted: they end where the
 * declaration ends.
 */
import assert from "node:assert/strict";
import { readSources, withoutComments, withoutStrings } from "./support/sources.ts";

const sources = await readSources();

Deno.test("no name of a type is declared in two places", () => {
  const places = Map.groupBy(
    sources.flatMap(({ file, code }) => declaredIn(code).map((name) => ({ name, file }))),
    ({ name }) => name,
  );
  assert.ok(places.size > 200, `found ${places.size} names`);
  const twice = [...places].filter(([, all]) => all.length > 1)
    .map(([name, all]) => `${name}: ${all.map(({ file }) => file).join(", ")}`);
  assert.deepEqual(twice, []);
});

Deno.test("each way of declaring a type is seen, and no use of a type", () => {
  const code = withoutComments(`
    import { type Imported, other } from "./x.ts"; // type Said = 1;
    export type { Again } from "./y.ts";
    export interface Shape<Part, Other extends Imported = { a: Part }> extends Base { a: 1 }
    type Alias = Shape; export default class Thing {}
    declare abstract class Far<T> {}
    function of<Given>(one: Given, list: Map<string, Given>): one is Given {}
    const text = "type Quoted = 1"; const value = { type: Value };
  `);
  assert.deepEqual(declaredIn(code), ["Shape", "Alias", "Thing", "Far"]);
});

const DECLARATION =
  /\b(?:interface|class|enum|type)\s+([A-Z]\w*)\s*(?=[<={]|extends\b|implements\b)/g;

function declaredIn(code: string): string[] {
  return [...withoutStrings(code).matchAll(DECLARATION)].map(([, name]) => name);
}
