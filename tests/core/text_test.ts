import assert from "node:assert/strict";
import {
  bytesOf,
  bytesOfJson,
  cutToBytes,
  fits,
  headAndTailInBytes,
  maySayIllFormed,
  nulWithin,
  wellFormed,
  wellFormedWithin,
} from "../../runtime/core/text.ts";
import { WORST } from "../support/texts.ts";

const inJson = (text: string) => bytesOfJson(JSON.stringify(text)) - 2;

Deno.test("a text is measured as the bytes that it takes in UTF-8 JSON", () => {
  for (let code = 0; code <= 0xffff; code++) {
    const text = String.fromCharCode(code);
    assert.equal(bytesOf(text), inJson(text), `U+${code.toString(16)}`);
  }
  for (const text of ["", "😀", 'a😀\u2028"\\\n\u0001ü', "\ud83d😀", "😀\ude00"]) {
    assert.equal(bytesOf(text), inJson(text), JSON.stringify(text));
  }
});

Deno.test("a text that is cut fits, has room for no character more, and halves none", () => {
  for (const [what, unit] of WORST) {
    const text = unit.repeat(100);
    for (let bytes = 0; bytes <= 60; bytes++) {
      const kept = cutToBytes(text, bytes);
      assert.ok(text.startsWith(kept), what);
      assert.ok(bytesOf(kept) <= bytes, what);
      assert.ok(bytesOf(kept) + 6 > bytes, `${what}: ${bytesOf(kept)} of ${bytes}`);
      assert.ok(kept.isWellFormed(), what);
      assert.equal(fits(text, bytes), false);
    }
    assert.equal(cutToBytes(text, bytesOf(text)), text);
  }
});

Deno.test("head and tail with what stands between them take no more bytes than allowed", () => {
  const between = (left_out: number) => `… ${left_out} are left out …`;
  for (const [what, unit] of WORST) {
    const text = `${unit.repeat(300)}middle${unit.repeat(300)}`;
    assert.equal(headAndTailInBytes(text, bytesOf(text), between), text);
    const short = headAndTailInBytes(text, 200, between);
    assert.ok(bytesOf(short) <= 200 && short.isWellFormed(), what);
    const [, head, left_out, tail] = /^([^]*)\n… (\d+) are left out …\n([^]*)$/.exec(short)!;
    assert.ok(head !== "" && text.startsWith(head) && text.endsWith(tail), what);
    assert.equal(head.length + Number(left_out) + tail.length, text.length, what);
  }
});

Deno.test("what is no character is replaced wherever it stands, and nothing else is touched", () => {
  assert.equal(wellFormed("before\0after"), "before\uFFFDafter");
  assert.equal(wellFormed("a\ud83d"), "a\uFFFD");
  const fine = { text: "😀 \u0001 \\u0000", list: [1, null, true], deep: { "ü": "\n" } };
  assert.deepEqual(wellFormedWithin(fine), fine);
  assert.deepEqual(wellFormedWithin({ "a\0": ["\ude00", { b: "\0" }] }), {
    "a\uFFFD": ["\uFFFD", { b: "\uFFFD" }],
  });
});

Deno.test("a NUL is found with the path to it", () => {
  assert.equal(nulWithin({ a: ["x", { b: "😀" }], c: null, d: 7 }), null);
  assert.deepEqual(nulWithin({ a: ["x", { b: "\0" }] }), ["a", "1", "b"]);
  assert.deepEqual(nulWithin("\0"), []);
});

Deno.test("no JSON text with a NUL or a half in it passes the quick look", () => {
  for (const text of ["\0", "a\ud83d", "\udfff", "\ud800b"]) {
    assert.ok(maySayIllFormed(JSON.stringify({ text })), JSON.stringify(text));
  }
  for (const text of ["😀", "\u0001", "ü\u2028", "\\d800"]) {
    assert.ok(!maySayIllFormed(JSON.stringify({ text })), JSON.stringify(text));
  }
});
