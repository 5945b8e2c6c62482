/** From what a page shows to what it should show: which swaps lie between. */
import assert from "node:assert/strict";
import { Differ, type Item, saidSwaps } from "../../routes/frame/differ.ts";
import { swap } from "../../routes/frame/stream.ts";
import { type Draft, type DraftHeard, Drafts } from "../../runtime/passing/drafts.ts";

/** `a:1 b:2` is a list of two items, each with one line that changes. */
function items(text: string): Item[] {
  const all = text.split(" ").filter(Boolean).map((one) => one.split(":"));
  return all.map(([id, line], index) => ({
    id,
    place: index === 0 ? { first_in: "list" } : { behind: all[index - 1][0] },
    arriving: () => `<li>${line}</li>`,
    parts: [{ id: `line-${id}`, html: line }],
  }));
}

for (
  const [what, before, after, swaps] of [
    ["the same list", "a:1 b:2", "a:1 b:2", []],
    ["a first item", "", "a:1", [swap("afterbegin", "list", "<li>1</li>")]],
    ["an item above all others", "b:2", "a:1 b:2", [swap("afterbegin", "list", "<li>1</li>")]],
    ["two new items", "a:1", "a:1 b:2 c:3", [
      swap("afterend", "a", "<li>2</li>"),
      swap("afterend", "b", "<li>3</li>"),
    ]],
    ["an item that looks different", "a:1 b:2", "a:1 b:3", [swap("outerMorph", "line-b", "3")]],
    ["an item that is gone", "a:1 b:2", "a:1", [swap("delete", "b", "")]],
    ["all of it at once", "a:1 b:2", "c:0 b:3", [
      swap("delete", "a", ""),
      swap("afterbegin", "list", "<li>0</li>"),
      swap("outerMorph", "line-b", "3"),
    ]],
  ] as [string, string, string, string[]][]
) {
  Deno.test(`${what} is told with ${swaps.length} swaps`, () => {
    const differ = new Differ();
    differ.only(items(before));
    assert.deepEqual(differ.only(items(after)), swaps);
    assert.deepEqual(differ.only(items(after)), []);
  });
}

Deno.test("an item that was gone and comes again arrives anew", () => {
  const differ = new Differ();
  differ.only(items("a:1"));
  differ.only([]);
  assert.deepEqual(differ.only(items("a:1")), [swap("afterbegin", "list", "<li>1</li>")]);
});

Deno.test("items that are put leave those alone that are not among them", () => {
  const differ = new Differ();
  differ.put(items("a:1 b:2"));
  assert.deepEqual(differ.put(items("b:3")), [swap("outerMorph", "line-b", "3")]);
  assert.deepEqual(differ.only(items("a:1 b:3")), []);
});

Deno.test("who is behind gets each fragment as it is shown, and none that never was", () => {
  const differ = new Differ();
  differ.changed([{ id: "head", html: "old" }]);
  assert.deepEqual(differ.changed([{ id: "head", html: "new" }]), [
    swap("outerMorph", "head", "new"),
  ]);
  assert.deepEqual(differ.whole(["head", "output"]), [swap("outerMorph", "head", "new")]);
});

const looks = {
  whole: (draft: Draft | null) => ({ id: "draft", html: draft ? draft.waiting ?? "drawn" : "" }),
  more: (block: number, text: string) => ({ id: `block-${block}`, html: text }),
};

Deno.test("of a reply on its way only the new text is told, and a new attempt is drawn anew", () => {
  const drafts = new Drafts(() => {});
  const { write, close } = drafts.open("task", "tree", 1);
  let heard: DraftHeard | null = null;
  const tell = () => {
    const said = saidSwaps(heard, drafts.of("task"), looks);
    heard = said.heard;
    return said.swaps;
  };
  const drawn = [swap("outerMorph", "draft", "drawn")];
  assert.deepEqual(tell(), drawn);
  write({ type: "begun" });
  write({ type: "block", kind: "text" });
  assert.deepEqual(tell(), drawn);
  write({ type: "delta", text: "one" });
  assert.deepEqual(tell(), [swap("beforeend", "block-0", "one")]);
  write({ type: "delta", text: " two" });
  write({ type: "delta", text: " three" });
  assert.deepEqual(tell(), [swap("beforeend", "block-0", " two three")]);
  assert.deepEqual(tell(), []);
  write({ type: "waiting", why: "later" });
  assert.deepEqual(tell(), [swap("outerMorph", "draft", "later")]);
  write({ type: "begun" });
  assert.deepEqual(tell(), drawn);
  close();
  assert.deepEqual(tell(), [swap("outerMorph", "draft", "")]);
  assert.deepEqual(tell(), []);
});
