/**
 * The store of the simulation: the real libSQL, in memory, which outlives the kernels that use it. A group
 * of units may not be written, may be written and answered late or with an error, or may be the last thing
 * that a kernel did.
 */
import { kyselyOver } from "../../db/dialect.ts";
import { type Engine, openLocal } from "../../db/engine.ts";
import { migrate } from "../../db/migrations/migrate.ts";
import { type Identity, identityOf } from "../../db/migrations/newest.ts";
import type { Schema } from "../../db/schema.ts";
import { type Store, StoreError } from "../../db/store.ts";
import { type Row, Rows, type SqlValue, type Unit, type UnitResult } from "../../db/unit.ts";
import { CALM, type Weather } from "./weather.ts";
import type { World } from "./world.ts";

interface Waiting {
  readonly unit: Unit;
  readonly answer: (result: UnitResult) => void;
}

/** How long the disk is full once it is. */
const FULL_MS = 25_000;

/** What makes a migrated database of an empty one: to migrate each anew takes longer. */
let migrated: Promise<readonly string[]> | null = null;

async function migration(): Promise<readonly string[]> {
  const engine = await openLocal(":memory:", false);
  await migrate(engine);
  const objects = await engine.run(
    `SELECT name, type, sql FROM sqlite_schema
     WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY type <> 'table', rowid`,
    [],
  );
  const statements = objects.map(({ sql }) => String(sql));
  for (const { name } of objects.filter(({ type }) => type === "table")) {
    const columns = await engine.run(`SELECT name FROM pragma_table_info('${name}')`, []);
    const values = columns.map(({ name }) => `quote("${name}")`).join(" || ', ' || ");
    const rows = await engine.run(`SELECT ${values} AS row FROM "${name}"`, []);
    for (const { row } of rows) statements.push(`INSERT INTO "${name}" VALUES (${row})`);
  }
  engine.close();
  return statements;
}

export class Database {
  readonly #world: World;
  readonly #engine: Engine;
  readonly #identity: Identity;
  weather: Weather;
  /** How often it was written. */
  writes = 0;
  /** Whether a commit is under way or waits. */
  busy = false;
  /** How many reads failed. */
  unread = 0;
  /** Until then nothing can be written. */
  #full_until = 0;

  private constructor(world: World, weather: Weather, engine: Engine, identity: Identity) {
    this.#world = world;
    this.weather = weather;
    this.#engine = engine;
    this.#identity = identity;
  }

  static async open(world: World, weather: Weather): Promise<Database> {
    const engine = await openLocal(":memory:", false);
    for (const statement of await (migrated ??= migration())) engine.run(statement, []);
    return new Database(world, weather, engine, { ...await identityOf(engine), created: true });
  }

  /** Nothing goes wrong from now on. */
  calm(): void {
    this.weather = CALM;
    this.#full_until = 0;
  }

  /** What is written down, for whoever is not the kernel. */
  look<Given>(sql: string, ...parameters: SqlValue[]): Given[] {
    // The query says what its rows look like.
    return this.#engine.run(sql, parameters) as Given[];
  }

  close(): void {
    this.#engine.close();
  }

  /** For one kernel: nothing answers it any more once the next one lives. */
  store(): Store {
    const world = this.#world;
    const { life } = world;
    this.busy = false;
    const closed = Promise.withResolvers<null>();
    const waiting: Waiting[] = [];
    /** Behind one that is late, in the order in which they are heard. */
    let answers: (() => void)[] = [];
    let writes = false;

    const write = () => {
      writes = false;
      this.#group(waiting.splice(0, world.between(1, waiting.length)), (answer, ms) => {
        if (ms === 0 && answers.length === 0) return answer();
        answers.push(answer);
        if (answers.length > 1) return;
        world.offer("store: answers late", ms, () => {
          const late = answers;
          answers = [];
          for (const answer of late) answer();
        });
      });
      writeLater();
    };
    const writeLater = () => {
      if (writes || life !== world.life) return;
      this.busy = waiting.length > 0;
      if (!this.busy) return;
      writes = true;
      world.offer("store", world.between(0, 3), write);
    };
    return {
      created: this.#identity.created,
      id: this.#identity.database_id,
      stamp: this.#identity.stamp,
      gone: closed.promise,
      onStamp: () => {},
      commit: (unit) =>
        new Promise((answer) => {
          waiting.push({ unit, answer });
          writeLater();
        }),
      read: kyselyOver<Schema>((sql, parameters) => this.#read(life, sql, parameters), false),
      writeBack: () => Promise.resolve(true),
      writeBackWhenIdle: () => Promise.resolve(),
      close: () => {
        closed.resolve(null);
        return Promise.resolve();
      },
      crash: () => world.kill("the store crashed"),
    };
  }

  #group(group: readonly Waiting[], heard: (answer: () => void, ms: number) => void): void {
    const world = this.#world;
    const { weather } = this;
    const all = (result: UnitResult) => () => group.forEach(({ answer }) => answer(result));
    const unknown = (reason: string) => all({ ok: false, refused: false, reason });
    if (world.chance(weather.full)) this.#full_until = world.now + FULL_MS;
    if (world.chance(weather.killed)) return world.kill(`before ${namesOf(group)}`);
    if (world.now < this.#full_until || world.chance(weather.unwritten)) {
      this.#say(group, "not written");
      return heard(unknown("the disk is full"), 0);
    }
    const answers = this.#write(group);
    if (world.chance(weather.killed)) return world.kill(`after ${namesOf(group)}`);
    if (world.chance(weather.unheard)) {
      this.#say(group, "written, and not heard");
      return heard(unknown("the connection was lost"), 0);
    }
    const refused = answers.filter(({ ok }) => !ok).length;
    this.#say(group, refused > 0 ? `${refused} refused` : "written");
    const late = world.chance(weather.late) ? world.between(100, 3_000) : 0;
    heard(() => group.forEach(({ answer }, index) => answer(answers[index])), late);
  }

  #write(group: readonly Waiting[]): UnitResult[] {
    this.writes++;
    // A local engine answers at once.
    const answers = this.#engine.group(group.map(({ unit }) => unit)) as Exclude<
      ReturnType<Engine["group"]>,
      Promise<unknown>
    >;
    return answers.map((answer, index) =>
      answer.ok ? { ok: true, rows: new Rows(group[index].unit, answer.rows) } : answer
    );
  }

  #say(group: readonly Waiting[], what: string): void {
    this.#world.trace.push(`    ${namesOf(group)}: ${what}`);
  }

  /** Mostly at once; sometimes what is read is older, or newer, than what was committed around it. */
  #read(life: number, sql: string, parameters: readonly SqlValue[]): Row[] | Promise<Row[]> {
    const world = this.#world;
    if (life !== world.life) return new Promise(() => {});
    if (world.chance(this.weather.unread)) {
      this.unread++;
      throw new StoreError("The database failed: a page cannot be read");
    }
    if (!world.chance(this.weather.late)) return this.#run(sql, parameters);
    return new Promise((resolve) =>
      world.offer(
        "store: reads late",
        world.between(0, 500),
        () => resolve(this.#run(sql, parameters)),
      )
    );
  }

  #run(sql: string, parameters: readonly SqlValue[]): Row[] {
    // As above.
    return this.#engine.run(sql, parameters) as Row[];
  }
}

/** What a group's units begin with: each kind of unit has a first statement of its own. */
function namesOf(group: readonly Waiting[]): string {
  const names = group.map(({ unit }) => {
    const words = unit[0]?.sql.match(/^\s*(\w+)(?:.*?(?:into|from|update) )?\s*"?(\w+)"?/i);
    return words ? `${words[1]} ${words[2]}` : "nothing";
  });
  return names.join(", ");
}
