import assert from "node:assert/strict";
import { scrub } from "../../../runtime/core/model/scrub.ts";

for (
  const [what, text, expected] of [
    ["a model's key", "key sk-ant-api03-abcdefghijklmnop end", "key [secret] end"],
    ["a GitHub token", "ghp_abcdefghijklmnopqrstuvwxyz", "[secret]"],
    ["an AWS key", "id AKIAIOSFODNN7EXAMPLE.", "id [secret]."],
    [
      "a bearer token",
      "Authorization: Bearer abcdefghijklmnop1234",
      "Authorization: Bearer [secret]",
    ],
    ["a password in an address", "postgres://me:s3cr3t@host/db", "postgres://me:[secret]@host/db"],
    ["a password behind its name", 'password = "hunter2hunter2"', 'password = "[secret]"'],
    [
      "a token in JSON inside JSON",
      '{\\"api_key\\":\\"0123456789\\"}',
      '{\\"api_key\\":\\"[secret]\\"}',
    ],
    [
      "a private key",
      "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
      "[secret]",
    ],
  ] as const
) {
  Deno.test(`${what} is taken out of a text, and nothing around it`, () => {
    assert.equal(scrub(text, []), expected);
  });
}

Deno.test("a known secret is taken out wherever it stands, and common text is left alone", () => {
  assert.equal(
    scrub("a-very-own-secret in a-very-own-secret!", ["a-very-own-secret"]),
    "[secret] in [secret]!",
  );
  const common = 'Count tokens: 12. See https://example.org/a:b and {"max_tokens": 32000}.';
  assert.equal(scrub(common, []), common);
});

Deno.test("JSON stays JSON", () => {
  const value = { env: 'TOKEN="abcdefgh12345678"\nnext', url: 'http://a:b"c@d' };
  assert.doesNotThrow(() => JSON.parse(scrub(JSON.stringify(value), [])));
});
