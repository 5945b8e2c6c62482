import assert from "node:assert/strict";
import { ConfigError, readConfig } from "../../runtime/core/config.ts";

const TOKEN = "0123456789abcdef";

function complaint(environment: Record<string, string>): string {
  try {
    readConfig(environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.ok(error.message.startsWith("Cannot start: "), error.message);
    return error.message;
  }
  return assert.fail(`accepted ${JSON.stringify(environment)}`);
}

Deno.test("an empty environment takes the defaults", () => {
  const { host, port, data_dir, database_url, admin_token, ...numbers } = readConfig({});
  assert.deepEqual([host, port, data_dir], ["127.0.0.1", 8000, "data"]);
  assert.deepEqual([database_url, admin_token], ["file:data/troupe.db", null]);
  assert.equal(numbers.max_concurrent_agents, 3);
  assert.equal(numbers.default_timeout_seconds, 300);
  assert.equal(numbers.supervisor_check_interval_seconds, 60);
});

Deno.test("variables that are set to nothing take the defaults", () => {
  const names = ["HOST", "PORT", "DATA_DIR", "DATABASE_URL", "TROUPE_ADMIN_TOKEN"];
  assert.deepEqual(readConfig(Object.fromEntries(names.map((name) => [name, ""]))), readConfig({}));
});

for (
  const [name, values] of Object.entries({
    PORT: ["-1", "65536", "1.5", "eight", "NaN", "8000x"],
    MAX_CONCURRENT_AGENTS: ["0", "1001", "2.5", "many"],
    DEFAULT_TIMEOUT_SECONDS: ["0", "86401", "soon"],
    SUPERVISOR_CHECK_INTERVAL: ["0", "3601", "often"],
    DATABASE_URL: ["troupe.db", "file:", "postgres://db", "ftp://db", "http://"],
    HOST: ["not a host"],
    TROUPE_ADMIN_TOKEN: ["short", "123456789012345"],
  })
) {
  for (const value of values) {
    Deno.test(`${name}=${value} is refused by name`, () => {
      const message = complaint({ [name]: value });
      assert.ok(message.includes(`${name}: must `), message);
      assert.ok(!message.includes("\n"), message);
    });
  }
}

Deno.test("every wrong variable is named at once", () => {
  const message = complaint({ PORT: "x", MAX_CONCURRENT_AGENTS: "0" });
  assert.match(message, /PORT: .*MAX_CONCURRENT_AGENTS: /);
});

Deno.test("a port of blanks is refused, and not taken for port 0", () => {
  assert.match(complaint({ PORT: " " }), /PORT: /);
});

for (const host of ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org"]) {
  Deno.test(`HOST=${host} is refused without a token and taken with one`, () => {
    assert.match(complaint({ HOST: host }), /TROUPE_ADMIN_TOKEN/);
    assert.equal(readConfig({ HOST: host, TROUPE_ADMIN_TOKEN: TOKEN }).host, host);
  });
}

for (const host of ["127.0.0.1", "localhost", "::1", "[::1]"]) {
  Deno.test(`HOST=${host} needs no token`, () =>
    assert.equal(readConfig({ HOST: host }).host, host));
}

Deno.test("the database stands in the data folder unless DATABASE_URL says otherwise", () => {
  assert.equal(readConfig({ DATA_DIR: "d" }).database_url, "file:d/troupe.db");
  assert.equal(
    readConfig({ DATABASE_URL: "libsql://db.example" }).database_url,
    "libsql://db.example",
  );
});
