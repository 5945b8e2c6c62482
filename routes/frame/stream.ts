/**
 * Streams of page updates. All readers of one page share a channel: it reads anew after a commit,
 * renders once, and hands the same bytes to each of them.
 */
import { STREAM_BEHIND_BYTES, STREAM_EVERY_MS, STREAM_PING_MS } from "../../runtime/core/limits.ts";
import type { Events, Happening } from "../../runtime/passing/events.ts";
import type { Places } from "../http/places.ts";

/** What a channel shows. Each text is one swap; see `swap`. */
export interface LivePage {
  /** How often it looks when nothing was committed; so often a comment is sent, too. */
  readonly look_ms?: number;
  /** Reads anew: what changed for those who have seen all that was read before. */
  changes(): Promise<readonly string[]>;
  /** What passes and is written down nowhere: the same without reading anew. */
  passing?(): readonly string[];
  /** All of what `changes` has read last, for those who may have seen any older state. */
  whole(): Promise<readonly string[]>;
}

/**
 * How a rendered component gets into the page.
 * @param target id of the element that it replaces, follows or begins
 */
export function swap(
  how: "outerMorph" | "afterend" | "afterbegin" | "beforeend" | "delete",
  target: string,
  html: string,
): string {
  return `<hx-partial hx-target="#${target}" hx-swap="${how}">${html}</hx-partial>`;
}

/** The open channels, by topic. */
export class PageStreams {
  readonly #events: Pick<Events, "subscribe">;
  readonly #channels = new Map<string, Channel>();

  constructor(events: Pick<Events, "subscribe">, readonly places: Places) {
    this.#events = events;
  }

  /** A response that never ends by itself, or null when there are as many as may be. */
  open(topic: string, page: () => LivePage): Response | null {
    const found = this.#channels.get(topic);
    const channel = found ?? new Channel(page());
    const leave = this.places.take();
    if (!leave) return null;
    const body = channel.join(leave);
    if (!found) this.#keep(topic, channel);
    return new Response(body, {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  /** Runs the channel as long as somebody reads it. */
  #keep(topic: string, channel: Channel): void {
    this.#channels.set(topic, channel);
    const unsubscribe = this.#events.subscribe(topic, (news) => channel.wake(news));
    const closed = () => {
      unsubscribe();
      this.#channels.delete(topic);
    };
    channel.run(closed);
  }
}

const PING = encode(":\n\n");

type Reader = ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;

class Channel {
  /** Have seen everything that was read so far. */
  readonly #current = new Set<Reader>();
  /** Are new, or could not keep up: they get the whole as soon as they take what they have. */
  readonly #behind = new Set<Reader>();
  /** How each gives its place back. */
  readonly #leaves = new Map<Reader, () => void>();
  readonly #page: LivePage;
  /** The most that is to be shown. */
  #news: Happening | null = "committed";
  #wake = () => {};

  constructor(page: LivePage) {
    this.#page = page;
  }

  get readers(): number {
    return this.#current.size + this.#behind.size;
  }

  wake(news: Happening): void {
    if (this.#news !== "committed") this.#news = news;
    this.#wake();
  }

  /** @param leave called once the reader is gone */
  join(leave: () => void): ReadableStream<Uint8Array<ArrayBuffer>> {
    let reader: Reader;
    return new ReadableStream({
      start: (controller) => {
        reader = controller;
        this.#behind.add(reader);
        this.#leaves.set(reader, leave);
        this.wake("committed");
      },
      pull: () => {
        if (this.#behind.has(reader)) this.wake("committed");
      },
      cancel: () => {
        this.#leave(reader);
        this.#wake();
      },
    }, { highWaterMark: STREAM_BEHIND_BYTES, size: (chunk) => chunk.byteLength });
  }

  /** @param closed called in the very turn in which no reader was left, so that none can join in between */
  async run(closed: () => void): Promise<void> {
    const { look_ms = STREAM_PING_MS } = this.#page;
    try {
      while (this.readers > 0) {
        if (!await this.#woken(look_ms)) this.#send(this.#current, PING);
        if (this.readers === 0) break;
        const news = this.#news;
        this.#news = null;
        await this.#update(news);
        await new Promise((resolve) => setTimeout(resolve, STREAM_EVERY_MS));
      }
    } catch (error) {
      for (const reader of [...this.#current, ...this.#behind]) {
        this.#leave(reader);
        reader.error(error);
      }
    } finally {
      closed();
    }
  }

  /** What shows a time changes without a commit: hence an update after a quiet while too. */
  async #update(news: Happening | null): Promise<void> {
    const changes = news === "passing" && this.#page.passing
      ? this.#page.passing()
      : await this.#page.changes();
    if (changes.length > 0) this.#send(this.#current, encode(changes.map(event).join("")));
    const ready = [...this.#behind].filter((reader) => (reader.desiredSize ?? 0) > 0);
    if (ready.length === 0) return;
    const whole = encode((await this.#page.whole()).map(event).join(""));
    for (const reader of ready) {
      // It may have left while the whole was being read.
      if (!this.#behind.delete(reader)) continue;
      this.#current.add(reader);
      reader.enqueue(whole);
    }
  }

  #send(readers: ReadonlySet<Reader>, chunk: Uint8Array<ArrayBuffer>): void {
    for (const reader of [...readers]) {
      if ((reader.desiredSize ?? 0) > 0) reader.enqueue(chunk);
      else {
        this.#current.delete(reader);
        this.#behind.add(reader);
      }
    }
  }

  #leave(reader: Reader): void {
    this.#current.delete(reader);
    this.#behind.delete(reader);
    this.#leaves.get(reader)?.();
    this.#leaves.delete(reader);
  }

  /** Whether it was woken, and not only the time that had passed. */
  #woken(ms: number): Promise<boolean> {
    if (this.#news) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

/** One unnamed event: the page swaps those in by itself. */
function event(html: string): string {
  return html.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`).join("") + "\n";
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
