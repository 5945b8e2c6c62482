/** Reads the environment and says clearly what is wrong with it. */
import * as z from "zod";
import {
  ADMIN_TOKEN_CHARS_MIN,
  AGENTS_AT_ONCE_MAX,
  CHECK_INTERVAL_SECONDS_MAX,
  TIMEOUT_SECONDS_MAX,
} from "./limits.ts";
import { issuesOf } from "./toolkit/mod.ts";
import type { VARIABLES } from "./launch.ts";
import { MODELS, type Provider } from "./model/messages.ts";

const whole = (least: number, most: number, standard: number) =>
  z.preprocess(
    (text) => typeof text !== "string" || text === "" ? standard : Number(text.trim() || NaN),
    z.int(`must be a whole number from ${least} to ${most}`)
      .min(least, `must be at least ${least}`).max(most, `must be at most ${most}`),
  );

const text = z.string().transform((text) => text || undefined).optional();

/** Every variable that Troupe reads, with its default. The README has the table. */
const ENVIRONMENT = z.object(
  {
    HOST: text.transform((host) => host ?? "127.0.0.1").refine(
      (host) => /^([\w.-]+|\[?[\da-f:.]+\]?)$/i.test(host),
      "must be a host name or an IP address",
    ),
    PORT: whole(0, 65_535, 8000),
    DATA_DIR: text.transform((folder) => folder ?? "data"),
    DATABASE_URL: text.refine(
      (url) => url === undefined || /^file:./.test(url) || isServer(url),
      "must begin with file:, libsql://, http:// or https:// and name a file or a host",
    ),
    MAX_CONCURRENT_AGENTS: whole(1, AGENTS_AT_ONCE_MAX, 3),
    DEFAULT_TIMEOUT_SECONDS: whole(1, TIMEOUT_SECONDS_MAX, 300),
    SUPERVISOR_CHECK_INTERVAL: whole(1, CHECK_INTERVAL_SECONDS_MAX, 60),
    TROUPE_ADMIN_TOKEN: text.refine(
      (token) => token === undefined || token.length >= ADMIN_TOKEN_CHARS_MIN,
      `must be at least ${ADMIN_TOKEN_CHARS_MIN} characters long`,
    ),
    CONTAINMENT: text.refine(
      (mode) => mode === undefined || mode === "strict" || mode === "as_available",
      "must be strict or as_available",
    ),
    ANTHROPIC_API_KEY: text,
    ANTHROPIC_BASE_URL: text.refine(
      (url) => url === undefined || /^https?:\/\//.test(url) && Boolean(URL.parse(url)?.host),
      "must begin with http:// or https:// and name a host",
    ),
    TROUPE_MODEL: text,
    TROUPE_MODEL_FAST: text,
    TROUPE_MODEL_STRONG: text,
    MODEL_CASSETTE: text.pipe(
      z.enum(["record", "replay"], "must be record or replay").optional(),
    ),
    DEBUG_MODE: text.transform((flag) => flag === "1" || flag === "true"),
  } satisfies Record<typeof VARIABLES[number], z.ZodType>,
);

function isServer(url: string): boolean {
  return /^(libsql|https?):\/\//.test(url) && Boolean(URL.parse(url)?.host);
}

/** `strict`: tools that agents wrote run with namespaces or not at all. */
export type Containment = "strict" | "as_available";

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly data_dir: string;
  readonly database_url: string;
  readonly max_concurrent_agents: number;
  readonly default_timeout_seconds: number;
  readonly supervisor_check_interval_seconds: number;
  readonly admin_token: string | null;
  readonly containment: Containment;
  /** Whether model calls are recorded or played back; null for neither. */
  readonly cassette: "record" | "replay" | null;
  /** The provider that answers; null for the offline model. The key is the gateway's alone. */
  readonly provider: Provider | null;
}

/** A mistake of whoever starts Troupe: said in one sentence, without a stack. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** @throws {ConfigError} that names each wrong variable and why it is wrong */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const parsed = ENVIRONMENT.safeParse(environment);
  if (!parsed.success) throw new ConfigError(`Cannot start: ${issuesOf(parsed.error)}`);
  const read = parsed.data;
  if (!LOOPBACK.includes(read.HOST) && !read.TROUPE_ADMIN_TOKEN) {
    throw new ConfigError(
      `Cannot start: HOST is ${read.HOST}, which others can reach, and nobody would have to sign in. ` +
        "Set TROUPE_ADMIN_TOKEN, or leave HOST at 127.0.0.1",
    );
  }
  return {
    host: read.HOST,
    port: read.PORT,
    data_dir: read.DATA_DIR,
    database_url: read.DATABASE_URL ?? `file:${read.DATA_DIR}/troupe.db`,
    max_concurrent_agents: read.MAX_CONCURRENT_AGENTS,
    default_timeout_seconds: read.DEFAULT_TIMEOUT_SECONDS,
    supervisor_check_interval_seconds: read.SUPERVISOR_CHECK_INTERVAL,
    admin_token: read.TROUPE_ADMIN_TOKEN ?? null,
    containment: read.CONTAINMENT === "strict" ? "strict" : "as_available",
    cassette: read.MODEL_CASSETTE ?? null,
    provider: read.ANTHROPIC_API_KEY || read.ANTHROPIC_BASE_URL
      ? {
        base_url: read.ANTHROPIC_BASE_URL ?? "https://api.anthropic.com",
        models: {
          default: read.TROUPE_MODEL ?? MODELS.default,
          // One line moves all agents: who names only TROUPE_MODEL means it for every alias.
          fast: read.TROUPE_MODEL_FAST ?? read.TROUPE_MODEL ?? MODELS.fast,
          strong: read.TROUPE_MODEL_STRONG ?? read.TROUPE_MODEL ?? MODELS.strong,
        },
      }
      : null,
  };
}

const LOOPBACK: readonly string[] = ["127.0.0.1", "localhost", "::1", "[::1]"];

export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host);
}
