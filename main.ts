/**
 * The program: puts the kernel together and serves it. Started by `deploy/launcher.ts`, which grants
 * its permissions; says on standard output when it is ready, and stops when its input ends.
 */
import { root } from "./actors/root.ts";
import { isSeeded } from "./db/seeding.ts";
import { openStore, type Store, StoreError } from "./db/store.ts";
import { createApp } from "./routes/app.ts";
import { Listening, type Respond } from "./routes/http/server.ts";
import { type Config, ConfigError, readConfig } from "./runtime/core/config.ts";
import { EXIT } from "./runtime/core/exit.ts";
import { streamsMax } from "./runtime/core/descriptors.ts";
import { HEARTBEAT, PREDECESSOR, VARIABLES } from "./runtime/core/launch.ts";
import {
  DESCRIPTORS_UNKNOWN,
  KERNEL_BEAT_MS,
  SHUTDOWN_MS,
  SPARE_MAX,
  START_RETRY_SECONDS,
} from "./runtime/core/limits.ts";
import type { Provider } from "./runtime/core/model/messages.ts";
import { OFFLINE } from "./runtime/core/model/offline.ts";
import { DataFolder } from "./runtime/data_folder.ts";
import { DatabaseMarker } from "./runtime/database_marker.ts";
import { boot } from "./runtime/boot.ts";
import { seed } from "./runtime/commands/seed.ts";
import { PATIENCE } from "./runtime/core/model/patience.ts";
import { realPorts } from "./runtime/real_ports.ts";
import { recordedModels } from "./runtime/model/cassette.ts";
import { describeLayers, probeLayers } from "./runtime/confined/sandbox.ts";
import { readModels, readPlaybooks, readSeeds } from "./seeds/mod.ts";
import { reasonOf } from "./runtime/core/reason.ts";

const log = (line: string) => console.error(line);

async function main([command, ...flags]: string[]): Promise<number> {
  if (flags.includes("--heartbeat")) beat();
  const config = readConfig(
    Object.fromEntries(VARIABLES.map((name) => [name, Deno.env.get(name)])),
  );
  const sockets = Deno.env.get("TROUPE_SOCKETS") ?? `${config.data_dir}/sockets`;
  const folder = await DataFolder.take(config.data_dir, sockets);
  if (!(folder instanceof DataFolder)) {
    const where = folder.url ? ` on ${folder.url}` : "";
    throw new ConfigError(
      `Cannot start: Troupe is running already${where} (process ${folder.pid}) ` +
        `with the data folder ${config.data_dir}`,
    );
  }
  switch (command) {
    case "serve":
      return await serve(config, folder);
    case "seed":
      return await seedOnly(config, folder, flags.includes("--force"));
    default:
      throw new ConfigError(`Cannot start: main.ts knows no command ${command}`);
  }
}

/** Runs the kernel and its page until the launcher closes our input. */
async function serve(config: Config, folder: DataFolder): Promise<number> {
  const marker = await DatabaseMarker.of(folder.path, config.database_url);
  // The port first: who cannot serve must not take up work. Until the kernel runs, it says so.
  let answer: Respond = () =>
    new Response("Troupe is starting", {
      status: 503,
      headers: { "retry-after": `${START_RETRY_SECONDS}` },
    });
  const server = new Listening(config, (request) => answer(request), log);
  const layers = await probeLayers();
  const [provider, playbooks, models] = await Promise.all([
    answering(config, folder),
    readPlaybooks(),
    readModels(),
  ]);
  const { kernel } = await boot(
    realPorts({
      database_url: config.database_url,
      workspaces: folder.workspaces,
      sockets: folder.sockets,
      scratch: folder.scratch,
      trash: folder.trash,
      code: decodeURIComponent(new URL(".", import.meta.url).pathname),
      layers,
      kinds: { agent: import.meta.resolve("./actors/agent.ts") },
      spare: { agent: Math.min(config.max_concurrent_agents, SPARE_MAX) },
      playbooks,
      provider,
      patience: PATIENCE,
      cassette: config.cassette && { mode: config.cassette, folder: folder.cassettes },
      models,
      log,
    }),
    {
      root,
      node_id: folder.node_id,
      predecessor_died: Deno.env.get(PREDECESSOR) === "died",
      slots: config.max_concurrent_agents,
      timeout_seconds: config.default_timeout_seconds,
      check_interval_seconds: config.supervisor_check_interval_seconds,
      models,
      patience: PATIENCE,
      about: {
        playbooks,
        provider,
        replays: config.cassette === "replay",
        containment: {
          mode: config.containment,
          layers: { ...layers },
          summary: describeLayers(layers, config.containment),
        },
      },
      onOpen: async (store) => {
        await mark(store, marker);
        if (!await isSeeded(store.read)) await seedInto(store, false);
      },
    },
  );
  const descriptors = Number(Deno.env.get("TROUPE_DESCRIPTORS")) || DESCRIPTORS_UNKNOWN;
  answer = createApp(kernel, config, streamsMax(descriptors, config.max_concurrent_agents)).fetch;
  const { url } = server;
  await folder.sign({ pid: Deno.pid, url });
  console.log(`Troupe is ready on ${url}`);
  console.log(greeting(config, provider));
  console.log(describeLayers(layers, config.containment));

  const why = await Promise.race([kernel.gone, server.gone, launcherGone()]);
  await Promise.race([server.shutdown(), delay(SHUTDOWN_MS)]);
  await kernel.stop();
  if (why !== null) log(`The kernel ends: ${why}`);
  return why === null ? EXIT.ok : EXIT.restart;
}

/** Who answers: with recordings, the models that were recorded. */
async function answering(config: Config, folder: DataFolder): Promise<Provider | null> {
  if (config.cassette !== "replay") return config.provider;
  try {
    const models = await recordedModels(folder.cassettes);
    return models.default === OFFLINE ? null : { base_url: "replay:", models };
  } catch (error) {
    throw new ConfigError(`Cannot start: ${reasonOf(error)}`);
  }
}

function greeting({ cassette }: Config, provider: Provider | null): string {
  if (cassette === "replay") return "No model is asked: recorded calls are played back.";
  const kept = cassette === "record" ? " Its calls are recorded." : "";
  if (!provider) return `No model is connected: the offline model plays the demo tasks.${kept}`;
  return `The model is ${provider.models.default} at ${new URL(provider.base_url).host}.${kept}`;
}

/** Tells the launcher that our event loop turns; a launcher that does not read holds up nothing else. */
function beat(): void {
  const line = new TextEncoder().encode(`${HEARTBEAT}\n`);
  let under_way = false;
  const say = async () => {
    if (under_way) return;
    under_way = true;
    // Nobody reads any more: our input ends, too.
    await Deno.stdout.write(line).catch(() => {});
    under_way = false;
  };
  setInterval(say, KERNEL_BEAT_MS);
}

/** The launcher holds our input open as long as it lives. */
async function launcherGone(): Promise<null> {
  for await (const _ of Deno.stdin.readable);
  return null;
}

async function seedOnly(config: Config, folder: DataFolder, force: boolean): Promise<number> {
  const marker = await DatabaseMarker.of(folder.path, config.database_url);
  const store = await openStore(config.database_url);
  await mark(store, marker);
  await seedInto(store, force);
  await store.close();
  return EXIT.ok;
}

/** From now on the data folder knows its database, and how far it has come. */
async function mark(store: Store, marker: DatabaseMarker): Promise<void> {
  await marker.recognise({ id: store.id, stamp: store.stamp });
  store.onStamp = (stamp) => marker.note({ id: store.id, stamp }, log);
}

async function seedInto(store: Store, force: boolean): Promise<void> {
  const { written, kept } = await seed(store, await readSeeds(), force, Date.now());
  log(`Seeded ${written.length} definitions`);
  for (const one of kept) log(`Kept ${one}: it was edited; --force writes the seed over it`);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) {
  // A promise that nobody heard is a bug, and nobody knows what it left undone: the journal does.
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log(`A fault that nobody expected: ${event.reason?.stack ?? event.reason}`);
    Deno.exit(EXIT.restart);
  });
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    // A mistake of whoever started it, in words; anything else is a bug and shows where it is.
    const known = error instanceof ConfigError || error instanceof StoreError;
    const debug = /^(1|true)$/.test(Deno.env.get("DEBUG_MODE") ?? "");
    console.error(known && !debug ? error.message : error);
    Deno.exit(known ? EXIT.config : EXIT.restart);
  }
}
