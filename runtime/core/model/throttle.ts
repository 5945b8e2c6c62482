/**
 * How many calls a model's provider takes now: a token bucket for each limit that its answers tell
 * (requests, tokens in, tokens out), the pause that it asks for, and a bound on calls at once.
 */
import { MODEL_CALLS_MAX } from "../limits.ts";

export const LIMITED = ["requests", "input_tokens", "output_tokens"] as const;
export type Limited = typeof LIMITED[number];

/** A limit as the provider tells it: its bucket has `remaining` now and is full at `full_at`. */
export interface RateLimit {
  readonly limit: number;
  readonly remaining: number;
  /** ms since 1970 */
  readonly full_at: number;
}

export type RateLimits = Partial<Record<Limited, RateLimit>>;

interface Bucket {
  readonly limit: number;
  /** What was in it at `at`. */
  level: number;
  at: number;
  readonly per_ms: number;
}

/** Limits are said per minute: what an empty bucket gets back at the least. */
const MINUTE_MS = 60_000;

export class Throttle {
  readonly #buckets = new Map<Limited, Bucket>();
  /** Tokens of calls that have begun and that the provider had not counted when it told its limits. */
  #unheard = { requests: 0, input_tokens: 0, output_tokens: 0 };
  #paused_until = 0;
  #under_way = 0;

  /** @param calls_max calls at once */
  constructor(readonly calls_max = MODEL_CALLS_MAX) {}

  get under_way(): number {
    return this.#under_way;
  }

  get paused_until(): number {
    return this.#paused_until;
  }

  /** ms until a call with such a prompt may begin; `Infinity` while another has to end first. */
  wait(input_tokens: number, now: number): number {
    if (this.#under_way >= this.calls_max) return Infinity;
    const waits = LIMITED.map((kind) => this.#waitFor(kind, costOf(input_tokens)[kind], now));
    return Math.max(0, this.#paused_until - now, ...waits);
  }

  begin(input_tokens: number, now: number): void {
    this.#under_way++;
    for (const kind of LIMITED) {
      const cost = costOf(input_tokens)[kind];
      this.#unheard[kind] += cost;
      const bucket = this.#buckets.get(kind);
      if (bucket) settle(bucket, now, -cost);
    }
  }

  /** The answer to a call that has begun arrives, with the provider's limits. */
  heard(input_tokens: number, limits: RateLimits, now: number): void {
    for (const kind of LIMITED) {
      this.#unheard[kind] -= costOf(input_tokens)[kind];
      const told = limits[kind];
      if (!told) continue;
      const left = told.full_at - now;
      const missing = told.limit - told.remaining;
      // Of an almost full bucket the time to its end says nothing about how fast it fills.
      const per_ms = Math.max(left > 0 ? missing / left : 0, told.limit / MINUTE_MS);
      const level = told.remaining - this.#unheard[kind];
      this.#buckets.set(kind, { limit: told.limit, level, at: now, per_ms });
    }
  }

  end(): void {
    this.#under_way--;
  }

  /** The provider wants nothing for so long. */
  pause(ms: number, now: number): void {
    this.#paused_until = Math.max(this.#paused_until, now + ms);
  }

  /** What is in each bucket now. */
  levels(now: number): Partial<Record<Limited, { limit: number; remaining: number }>> {
    return Object.fromEntries(
      [...this.#buckets].map(([kind, bucket]) => [
        kind,
        { limit: bucket.limit, remaining: Math.max(0, Math.floor(levelOf(bucket, now))) },
      ]),
    );
  }

  #waitFor(kind: Limited, cost: number, now: number): number {
    const bucket = this.#buckets.get(kind);
    // A limit of nothing says nothing that waiting could help with.
    if (!bucket || bucket.limit <= 0) return 0;
    // A prompt larger than the bucket waits for a full one: the provider decides.
    const missing = Math.min(cost, bucket.limit) - levelOf(bucket, now);
    return missing <= 0 ? 0 : Math.ceil(missing / bucket.per_ms);
  }
}

/** How long a reply gets nobody knows: one must be possible at all. */
function costOf(input_tokens: number): Record<Limited, number> {
  return { requests: 1, input_tokens, output_tokens: 1 };
}

function levelOf({ limit, level, at, per_ms }: Bucket, now: number): number {
  return Math.min(limit, level + (now - at) * per_ms);
}

function settle(bucket: Bucket, now: number, change: number): void {
  bucket.level = levelOf(bucket, now) + change;
  bucket.at = now;
}
