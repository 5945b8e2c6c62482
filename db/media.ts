/** Pictures and documents of conversations, kept once by the hash of their bytes. */
import type { Kysely } from "kysely";
import type { Schema } from "./schema.ts";
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

export function findMedia(db: Kysely<Schema>, hashes: readonly string[]): Promise<Media[]> {
  if (hashes.length === 0) return Promise.resolve([]);
  return db.selectFrom("media").select(["hash", "media_type", "base64"])
    .where("hash", "in", hashes).execute();
}
