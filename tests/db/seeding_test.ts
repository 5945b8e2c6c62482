import assert from "node:assert/strict";
import { addAgent, addDocument, findAgent, findDocuments } from "../../db/definitions.ts";
import { type Definitions, seeding } from "../../db/seeding.ts";
import { readSeeds } from "../../seeds/mod.ts";
import { type TempStore, tempStore } from "../support/store.ts";

async function seed(db: TempStore, definitions: Definitions, force = false) {
  const { unit, written, kept } = await seeding(db.store.read, definitions, force, 2);
  await db.commit(unit);
  return { written, kept };
}

async function versions(db: TempStore, name: string) {
  return await db.store.read.selectFrom("agents").select(["version", "origin", "instruction"])
    .where("name", "=", name).orderBy("version").execute();
}

/** The seeds with another instruction for the generalist. */
function changed(seeds: Definitions, instruction: string): Definitions {
  return {
    ...seeds,
    agents: seeds.agents.map((agent) =>
      agent.name === "generalist" ? { ...agent, instruction } : agent
    ),
  };
}

Deno.test("seeding an empty database writes every definition once", async () => {
  await using db = await tempStore();
  const seeds = await readSeeds();
  const { written, kept } = await seed(db, seeds);
  assert.equal(written.length, seeds.agents.length + seeds.documents.length + seeds.tools.length);
  assert.deepEqual(kept, []);
  const generalist = await findAgent(db.store.read, "generalist");
  const { version, ...definition } = generalist!;
  assert.equal(version, 1);
  assert.deepEqual(definition, seeds.agents.find(({ name }) => name === "generalist"));
});

Deno.test("seeding a second time writes nothing, with force or without", async () => {
  await using db = await tempStore({ seeded: true });
  const seeds = await readSeeds();
  assert.deepEqual(await seed(db, seeds), { written: [], kept: [] });
  assert.deepEqual(await seed(db, seeds, true), { written: [], kept: [] });
});

Deno.test("a seed that was changed becomes a new version, and the old one stays", async () => {
  await using db = await tempStore({ seeded: true });
  const { written } = await seed(db, changed(await readSeeds(), "New words"));
  assert.deepEqual(written, ["agents generalist"]);
  const all = await versions(db, "generalist");
  assert.deepEqual(all.map(({ version, origin }) => [version, origin]), [[1, "seed"], [2, "seed"]]);
  assert.equal(all[1].instruction, "New words");
  assert.notEqual(all[0].instruction, "New words");
});

for (const origin of ["person", "agent"] as const) {
  Deno.test(`an edit of a ${origin} is kept by seeding without force`, async () => {
    await using db = await tempStore({ seeded: true });
    const seeds = await readSeeds();
    const generalist = seeds.agents.find(({ name }) => name === "generalist")!;
    const overview = seeds.documents.find(({ name }) => name === "system_overview")!;
    await db.commit([
      addAgent({ ...generalist, instruction: "Edited" }, 2, origin, 1),
      addDocument({ ...overview, content: "Edited" }, 2, origin, 1),
    ]);
    const { written, kept } = await seed(db, seeds);
    assert.deepEqual(written, []);
    assert.deepEqual(kept, ["agents generalist", "documents system_overview"]);
    assert.equal((await findAgent(db.store.read, "generalist"))!.instruction, "Edited");
    const [document] = await findDocuments(db.store.read, ["system_overview"]);
    assert.equal(document.content, "Edited");
  });
}

Deno.test("seeding with force writes the seed as a newer version above an edit, which stays", async () => {
  await using db = await tempStore({ seeded: true });
  const seeds = await readSeeds();
  const generalist = seeds.agents.find(({ name }) => name === "generalist")!;
  await db.commit([addAgent({ ...generalist, instruction: "Edited" }, 2, "person", 1)]);
  const { written, kept } = await seed(db, seeds, true);
  assert.deepEqual([written, kept], [["agents generalist"], []]);
  const all = await versions(db, "generalist");
  assert.deepEqual(all.map(({ version, origin }) => [version, origin]), [
    [1, "seed"],
    [2, "person"],
    [3, "seed"],
  ]);
  assert.equal(all[1].instruction, "Edited");
  assert.equal(all[2].instruction, generalist.instruction);
});

Deno.test("a definition that people added beside the seeds is left alone, also with force", async () => {
  await using db = await tempStore({ seeded: true });
  const seeds = await readSeeds();
  await db.commit([addAgent({ ...seeds.agents[0], name: "mine" }, 1, "person", 1)]);
  assert.deepEqual(await seed(db, seeds, true), { written: [], kept: [] });
  assert.equal((await versions(db, "mine")).length, 1);
});

Deno.test("the agents, documents and tools that the seeds name exist in them", async () => {
  const { agents, documents, tools } = await readSeeds();
  const known = { tools: new Set<string>(), documents: new Set<string>() };
  for (const { name } of tools) known.tools.add(name);
  for (const { name } of documents) known.documents.add(name);
  for (const agent of agents) {
    for (const tool of agent.tools) assert.ok(known.tools.has(tool), `${agent.name}: ${tool}`);
    for (const one of agent.documents) assert.ok(known.documents.has(one), `${agent.name}: ${one}`);
  }
});

Deno.test("only the supervisor is given resolve_task by the seeds", async () => {
  const { agents } = await readSeeds();
  const given = agents.filter(({ tools }) => tools.includes("resolve_task"));
  assert.deepEqual(given.map(({ name }) => name), ["supervisor"]);
});
