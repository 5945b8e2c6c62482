/** What a tool can learn of the machine, and what passes between calls and between actors. */
import assert from "node:assert/strict";
import { beginActor } from "../support/kernel.ts";
import { longTest } from "../support/long.ts";
import { until } from "../support/until.ts";
import { type Arena, arena, PATIENT_MS } from "./harness.ts";
import { assertRefused, NO_BWRAP, SECRET, tool, type Tried, tries } from "./outside.ts";

// Before the kernel starts, as an API key is.
Deno.env.set("TROUPE_TEST_SECRET", SECRET);
const KINDS = { broadcaster: import.meta.resolve("../support/actors/broadcaster.ts") };
const whole = await arena(KINDS, PATIENT_MS);
const bare = await whole.on(NO_BWRAP);
Deno.test.afterAll(async () => {
  await whole[Symbol.asyncDispose]();
  Deno.env.delete("TROUPE_TEST_SECRET");
});

function onBoth(name: string, run: (field: Arena) => Promise<void>): void {
  Deno.test(name, () => run(whole));
  longTest(`${name}, without namespaces`, () => run(bare));
}

const PROCESS = `(await import("node:process")).default`;

onBoth("a tool learns no environment variable", async (field) => {
  const tried = await tries(field, {
    "one by name": `Deno.env.get("TROUPE_TEST_SECRET")`,
    all: `Deno.env.toObject()`,
    has: `Deno.env.has("TROUPE_TEST_SECRET")`,
    "one of node": `${PROCESS}.env.TROUPE_TEST_SECRET`,
    "all of node": `JSON.stringify(${PROCESS}.env)`,
    "the names of node": `Object.keys(${PROCESS}.env)`,
    "a report of node": `JSON.stringify(${PROCESS}.report.getReport())`,
    home: `(await import("node:os")).homedir()`,
    "/proc": `Deno.readTextFile("/proc/self/environ")`,
    "the kernel's /proc": `Deno.readTextFile("/proc/" + Deno.ppid + "/environ")`,
  });
  assert.ok(!JSON.stringify(tried).includes(SECRET));
  const { "one of node": one, "the names of node": names, ...others } = tried;
  // Node's way to say that there is none, or Deno's to refuse.
  assert.ok(one.refused ?? one.got === "undefined", JSON.stringify(one));
  assert.ok(names.refused ?? (names.got as string[]).length === 0, JSON.stringify(names));
  assertRefused(others, /^Requires \w+ access|not implemented|undefined|is not a function/);
});

onBoth(
  "a tool that may use all of what can be granted learns no environment variable",
  async (field) => {
    const workspace = `${field.folder}/workspaces`;
    const grants = { net: ["127.0.0.1"], read: [workspace], write: [workspace] };
    const tried = await tries(field, {
      env: `Deno.env.get("TROUPE_TEST_SECRET")`,
      "/proc": `Deno.readTextFile("/proc/self/environ")`,
    }, { grants, workspace });
    assertRefused(tried);
  },
);

onBoth("a tool's arguments tell no more than where its own socket was", async (field) => {
  const tried = await tries(field, {
    "Deno.args": `Deno.args`,
    argv: `${PROCESS}.argv.slice(2)`,
    execArgv: `${PROCESS}.execArgv`,
    title: `${PROCESS}.title`,
  });
  const told = tried["Deno.args"].got as string[];
  assert.equal(told.length, 1);
  assert.match(told[0], new RegExp(`^${field.folder}/tool-[0-9]+\\.sock$`));
  assert.deepEqual(tried.argv.got, told);
  assert.deepEqual(tried.execArgv.got, []);
  assert.ok(!JSON.stringify(tried).includes("troupe.db"));
});

onBoth(
  "a tool learns neither the machine's name nor its users, addresses or load",
  async (field) => {
    const os = `(await import("node:os"))`;
    const tried = await tries(field, {
      hostname: `Deno.hostname()`,
      "hostname of node": `${os}.hostname()`,
      addresses: `Deno.networkInterfaces()`,
      "addresses of node": `${os}.networkInterfaces()`,
      release: `Deno.osRelease()`,
      load: `Deno.loadavg()`,
      memory: `Deno.systemMemoryInfo()`,
      uptime: `Deno.osUptime()`,
      user: `Deno.uid()`,
      "user of node": `${os}.userInfo()`,
      "a file": `Deno.readTextFile("/etc/hostname")`,
      users: `Deno.readTextFile("/etc/passwd")`,
      id: `Deno.readTextFile("/etc/machine-id")`,
      clock: `Deno.readTextFile("/proc/uptime")`,
    });
    assertRefused(tried);
    assert.ok(!JSON.stringify(tried).includes(Deno.hostname() + '"'));
  },
);

/** Leaves a word in every place there is, and looks for those of others; each call is one of two. */
const PLACES = {
  channel: `await new Promise((resolve) => {
    const channel = new BroadcastChannel("between");
    const heard = [];
    channel.onmessage = ({ data }) => heard.push(data);
    const telling = setInterval(() => {
      channel.postMessage(input.me);
      try { channel.postMessage(new SharedArrayBuffer(8)); } catch {}
    }, 20);
    setTimeout(() => { clearInterval(telling); channel.close(); resolve(heard); }, input.ms);
  })`,
  cache: `await (async () => {
    const cache = await caches.open("between");
    const last = await cache.match("http://cache/last");
    await cache.put("http://cache/last", new Response(input.me));
    return last ? [await last.text()] : [];
  })()`,
  "cache names": `(await caches.has("between-" + input.you)) ? [input.you]
    : (await caches.open("between-" + input.me), [])`,
  locks: `await (async () => {
    navigator.locks.request("lock " + input.me, () => new Promise(() => {}));
    await new Promise((resolve) => setTimeout(resolve, input.ms));
    const { held } = await navigator.locks.query();
    return held.map(({ name }) => name).filter((name) => !name.endsWith(input.me));
  })()`,
  storage: `(() => {
    const found = Object.values(localStorage).concat(Object.values(sessionStorage));
    localStorage.setItem("last", input.me);
    sessionStorage.setItem("last", input.me);
    return found;
  })()`,
  kv: `typeof Deno.openKv === "function"
    ? await Array.fromAsync((await Deno.openKv()).list({ prefix: [] })) : []`,
  globals: `(() => {
    const found = Object.keys(globalThis).filter((key) => key.startsWith("between"));
    globalThis["between" + input.me] = 1;
    return found;
  })()`,
  files: `(() => {
    try { return Array.from(Deno.readDirSync(Deno.cwd())); } catch { return []; }
  })()`,
  temporary: `(() => {
    try { return [Deno.makeTempFileSync()]; } catch { return []; }
  })()`,
};

function assertNothing(tried: Tried): void {
  for (const [place, { got, refused }] of Object.entries(tried)) {
    assert.deepEqual(got ?? [], [], `${place}: ${refused}`);
  }
}

onBoth("nothing passes between two calls at once", async (field) => {
  const call = (me: string, you: string) =>
    field.attack(tool(PLACES), { input: { me, you, ms: 300 } });
  for (const outcome of await Promise.all([call("one", "two"), call("two", "one")])) {
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assertNothing(outcome.value as Tried);
  }
});

onBoth("nothing passes from a call to one after it", async (field) => {
  assertNothing(await tries(field, PLACES, { input: { me: "one", you: "none", ms: 50 } }));
  assertNothing(await tries(field, PLACES, { input: { me: "two", you: "one", ms: 50 } }));
});

onBoth("a blob: URL of one call means nothing to another", async (field) => {
  const keeping = field.attack(`export default async () => {
    const url = URL.createObjectURL(new Blob([${JSON.stringify(SECRET)}]));
    console.log(url);
    await new Promise((resolve) => setTimeout(resolve, 800));
    return url;
  };`);
  const { value } = await field.attack(`export default () =>
    URL.createObjectURL(new Blob([${JSON.stringify(SECRET)}]));`) as { value: string };
  assert.match(value, /^blob:/);
  const tried = await tries(field, {
    fetch: `(await fetch(${JSON.stringify(value)})).text()`,
    import: `import(${JSON.stringify(value)})`,
  });
  assert.ok(tried.fetch.refused && tried.import.refused, JSON.stringify(tried));
  assert.ok(!JSON.stringify(tried).includes(SECRET));
  await keeping;
});

onBoth("nothing that a call left behind is on disk after it", async (field) => {
  await field.attack(tool(PLACES), { input: { me: SECRET, you: "", ms: 50 } });
  const { stdout } = await new Deno.Command("grep", {
    args: [
      "-rl",
      "--devices=skip",
      SECRET,
      `${field.folder}/scratch`,
      `${field.folder}/workspaces`,
    ],
  }).output();
  assert.equal(new TextDecoder().decode(stdout), "");
});

/** What actors heard, each of which told and listened in every way while its module was loaded. */
async function broadcasters({ kernel }: Arena, count: number) {
  const begun = await Promise.all(
    Array.from({ length: count }, () => beginActor(kernel, "broadcaster", { type: "go" })),
  );
  return await Promise.all(
    begun.map(({ address }) =>
      until("the end of a broadcaster", async () => {
        const row = await kernel.read.selectFrom("tasks").select([
          "status",
          "result",
          "reason",
        ])
          .where("id", "=", address).executeTakeFirstOrThrow();
        if (row.status === "failed") throw new Error(row.reason!);
        return row.result === null
          ? null
          : JSON.parse(row.result) as { me: string; heard: string[] };
      })
    ),
  );
}

/** The process that a line such as "channel 123 uuid" came from. */
const processOf = (line: string) => /(\d+) [0-9a-f-]{36}/.exec(line)?.[1];

Deno.test("actors of different cells hear nothing of each other", async () => {
  for (const { me, heard } of await broadcasters(whole, 8)) {
    const others = heard.filter((line) => processOf(line) && processOf(line) !== processOf(me));
    assert.deepEqual(others, []);
  }
});

Deno.test("actors of one cell can hear each other by BroadcastChannel, memory sent over it, and Web Locks", async () => {
  const all = await broadcasters(whole, 8);
  const ways = new Set(
    all.flatMap(({ me, heard }) => heard.filter((line) => processOf(line) === processOf(me)))
      .map((line) => line.split(" ")[0]),
  );
  // This one is on disk, and the same for every cell.
  ways.delete("cache");
  assert.deepEqual([...ways].sort(), ["channel", "lock", "memory"]);
});
