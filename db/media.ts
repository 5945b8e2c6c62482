/** Pictures and documents of conversations, kept once by the hash of their bytes. */
import { sql } from "kysely";
import type { Db } from "./schema.ts";
import { query, type Statement, statement } from "./unit.ts";

export interface Media {
  /** SHA-256 of the bytes, in hex. */
  readonly hash: string;
  readonly media_type: string;
  readonly base64: string;
}

/** Keeps it; a second time changes nothing. */
export function addMedia(media: Media, now: number): Statement {
  return statement(
    query.insertInto("media").values({ ...media, created_at: now })
      .onConflict((conflict) => conflict.doNothing()),
  );
}

/** How much of a request each of them takes. */
export function mediaSizes(
  db: Db,
  hashes: readonly string[],
): Promise<{ hash: string; bytes: number }[]> {
  if (hashes.length === 0) return Promise.resolve([]);
  return db.selectFrom("media").select(["hash", sql<number>`length(base64)`.as("bytes")])
    .where("hash", "in", hashes).execute();
}

export function findMedia(db: Db, hashes: readonly string[]): Promise<Media[]> {
  if (hashes.length === 0) return Promise.resolve([]);
  return db.selectFrom("media").select(["hash", "media_type", "base64"])
    .where("hash", "in", hashes).execute();
}
