/** All migrations by name; Kysely's migrator runs the missing ones in the order of their names. */
import type { Migration } from "kysely/migration";
import * as spine from "./0001_spine.ts";
import * as containment from "./0002_containment.ts";
import * as gateway from "./0003_gateway.ts";
import * as ladder from "./0004_ladder.ts";
import * as housekeeping from "./0005_housekeeping.ts";
import * as endings from "./0006_endings.ts";
import * as liveness from "./0007_liveness.ts";
import * as stamp from "./0008_stamp.ts";
import * as outbox from "./0009_outbox.ts";
import * as sums from "./0010_sums.ts";

export const migrations: Record<string, Migration> = {
  "0001_spine": spine,
  "0002_containment": containment,
  "0003_gateway": gateway,
  "0004_ladder": ladder,
  "0005_housekeeping": housekeeping,
  "0006_endings": endings,
  "0007_liveness": liveness,
  "0008_stamp": stamp,
  "0009_outbox": outbox,
  "0010_sums": sums,
};
