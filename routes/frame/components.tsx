/** The small parts that every page is made of. */
import type { UsageCounts } from "../../db/usage.ts";
import { TEXT_CHARS_MAX } from "../../runtime/core/limits.ts";
import { NANO } from "../../runtime/core/model/budget.ts";
import type { Status } from "../../runtime/core/protocol.ts";

/** A status as a word; the colour only repeats it. */
export function Badge({ status }: { status: Status }) {
  return <span class={`badge ${status}`}>{status}</span>;
}

/** Text as it was written, with its line breaks. */
export function Text({ of }: { of: string }) {
  return <div class="text">{shorten(of, TEXT_CHARS_MAX)}</div>;
}

/** A moment in UTC: the same for everyone who reads along. */
export function Moment({ at }: { at: number }) {
  const iso = new Date(at).toISOString();
  return <time dateTime={iso}>{`${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`}</time>;
}

export function Age({ at, now }: { at: number; now: number }) {
  const iso = new Date(at).toISOString();
  return <time dateTime={iso} title={iso}>{age(now - at)}</time>;
}

/** What model calls used: tokens in, how much of them the provider's cache gave, tokens out, dollars. */
export function UsageLine({ of }: { of: UsageCounts }) {
  const { input_tokens, cache_read_tokens, output_tokens, cost_nano, unpriced_calls } = of;
  if (input_tokens + output_tokens === 0) return null;
  const share = Math.round(100 * cache_read_tokens / Math.max(1, input_tokens));
  const cost = unpriced_calls > 0 ? "cost unknown" : dollars(cost_nano / NANO);
  return (
    <small class="usage">
      {`${input_tokens.toLocaleString("en")} tokens in (${share} % cached), ` +
        `${output_tokens.toLocaleString("en")} out, ${cost}`}
    </small>
  );
}

function dollars(amount: number): string {
  return amount > 0 && amount < 0.0001 ? "under $0.0001" : `$${amount.toFixed(4)}`;
}

/** An error that belongs to a page of its own. */
export function Trouble({ title, text }: { title: string; text: string }) {
  return (
    <section class="trouble">
      <h1>{title}</h1>
      <p>{text}</p>
      <p>
        <a href="/">Back to all tasks</a>
      </p>
    </section>
  );
}

/** The text cut to so many characters, with an ellipsis where something is missing. */
export function shorten(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters - 1).trimEnd()}…`;
}

/** The text on one line. */
export function oneLine(text: string, characters: number): string {
  return shorten(text.slice(0, 2 * characters).replace(/\s+/g, " ").trim(), characters);
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.floor(ms / 1000) % 60} s`;
}

function age(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return `${Math.floor(minutes / (24 * 60))} days ago`;
}
