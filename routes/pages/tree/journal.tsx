/** A task's journal for people: what it was told, said, asked for and got, in order. */
import * as z from "zod";
import type { ComponentChildren } from "preact";
import type { JournalEntry } from "../../../db/entries.ts";
import { Badge, duration, oneLine, Text } from "../../frame/components.tsx";
import { itemId } from "./ids.ts";
import { REASON_CHARS_MAX } from "../../../runtime/core/limits.ts";
import type { MediaName } from "../../../runtime/core/model/messages.ts";
import type { Status } from "../../../runtime/core/protocol.ts";
import { TOOLKIT } from "../../../runtime/core/toolkit/mod.ts";

export function Journal({ entries }: { entries: readonly JournalEntry[] }) {
  const last = entries.at(-1);
  if (!last) return null;
  const read = entries.map((entry) => {
    const message: Said = JSON.parse(entry.message_json);
    return { entry, message };
  });
  const calls = callsIn(read.map(({ message }) => message));
  const began = entries[0].created_at;
  return (
    <details class="journal">
      <summary>{`Journal: ${last.total} ${last.total === 1 ? "entry" : "entries"}`}</summary>
      {last.total > entries.length && (
        <p>
          <small>{`The last ${entries.length} of them. The API has all.`}</small>
        </p>
      )}
      <ol>
        {read.map(({ entry, message }) => (
          <li key={entry.seq} id={`entry-${entry.seq}`} class={entry.type.replaceAll(".", "-")}>
            <small class="when">{`+${duration(entry.created_at - began)}`}</small>
            <div class="what">
              <Entry message={message} calls={calls} />
            </div>
          </li>
        ))}
      </ol>
    </details>
  );
}

/** What the journal holds. A type that is not here is shown as it is. */
type Said =
  | { type: "task.started"; instruction: string; turns_max: number }
  | { type: "model.replied"; model: string; stop_reason: string; content: SaidBlock[] }
  | { type: "model.failed"; reason: string }
  | { type: "context.compacted"; summary: string; model: string }
  | {
    type: "tool.replied";
    call_id: string;
    content: string;
    is_error?: boolean;
    log?: string;
    media?: MediaName[];
  }
  | ({ type: "child.ended" } & SaidEnd)
  | { type: "hint" | "nudge" | "reminder"; text: string }
  | ({ type: "task.ended" } & SaidEnd);

type SaidBlock =
  | { type: "text"; text: string }
  | { type: "thinking"; thinking: string }
  | { type: "tool_use"; id: string; name: string; input: unknown };

interface SaidEnd {
  readonly status: Status;
  readonly task_id?: string;
  readonly purpose?: string;
  readonly result?: string | null;
  readonly summary?: string | null;
  readonly reason?: string | null;
}

/** Names of the tools by call, so that an answer can say what it answers. */
type Calls = ReadonlyMap<string, string>;

const SPOKEN = { hint: "Hint from a person", nudge: "Nudged", reminder: "Reminded" };

function Entry({ message, calls }: { message: Said; calls: Calls }) {
  switch (message.type) {
    case "task.started":
      return (
        <>
          <Line title="Started">{`at most ${message.turns_max} turns`}</Line>
          <Text of={message.instruction} />
        </>
      );
    case "model.replied":
      return (
        <>
          <Line title="Model">{message.model}</Line>
          {message.content.map((block, index) => <Part key={index} block={block} />)}
        </>
      );
    case "model.failed":
      return (
        <>
          <Line title="Model failed" />
          <p class="reason">{message.reason}</p>
        </>
      );
    case "context.compacted":
      return (
        <>
          <Line title="Earlier turns summarised">{message.model}</Line>
          <Text of={message.summary} />
        </>
      );
    case "tool.replied":
      return <ToolReply reply={message} name={calls.get(message.call_id) ?? "a call"} />;
    case "child.ended":
      return (
        <>
          <Line title={`${message.purpose ?? "child"} ended`} />
          <EndShown end={message} />
        </>
      );
    case "task.ended":
      return (
        <>
          <Line title="Ended" />
          <EndShown end={message} />
        </>
      );
    case "hint":
    case "nudge":
    case "reminder":
      return (
        <>
          <Line title={SPOKEN[message.type]} />
          <Text of={message.text} />
        </>
      );
    default:
      return <Plain of={message} />;
  }
}

function Line({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <p class="line">
      <strong>{title}</strong> <small>{children}</small>
    </p>
  );
}

function Part({ block }: { block: SaidBlock }) {
  switch (block.type) {
    case "text":
      return <Text of={block.text} />;
    case "tool_use":
      return <CallShown name={block.name} input={block.input} />;
    case "thinking":
      // A provider may keep its thoughts to itself: then there is a signature and no text.
      return block.thinking
        ? <Text of={block.thinking} />
        : <small>It thought about it without saying what.</small>;
    default:
      return <Plain of={block} />;
  }
}

function CallShown({ name, input }: { name: string; input: unknown }) {
  const fields = input !== null && typeof input === "object" ? Object.entries(input) : [];
  return (
    <div class="call">
      <code>{name}</code>
      <dl>
        {fields.map(([field, value]) => (
          <div key={field}>
            <dt>{field}</dt>
            <dd class={typeof value === "string" && !value.includes("\n") ? "" : "code"}>
              <Text of={typeof value === "string" ? value : JSON.stringify(value, null, 2)} />
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

interface SaidReply {
  readonly content: string;
  readonly is_error?: boolean;
  /** What a tool printed that an agent wrote. */
  readonly log?: string;
  readonly media?: readonly MediaName[];
}

function MediaShown({ media: { hash, media_type } }: { media: MediaName }) {
  const path = `/media/${hash}`;
  return (
    <p>
      {media_type.startsWith("image/")
        ? <img class="media" src={path} alt="What the tool gave" loading="lazy" />
        : <a href={path}>What the tool gave ({media_type})</a>}
    </p>
  );
}

function ToolReply({ reply, name }: { reply: SaidReply; name: string }) {
  const end = TOOLKIT.get(name)?.performer === "child" ? endIn(reply.content) : null;
  return (
    <>
      <Line title={reply.is_error ? "Error from" : "Answer to"}>
        <code>{name}</code>
      </Line>
      {end ? <EndShown end={end} /> : (
        <div class={reply.is_error ? "reason" : ""}>
          <Text of={reply.content} />
        </div>
      )}
      {reply.media?.map((media) => <MediaShown key={media.hash} media={media} />)}
      {reply.log && (
        <>
          <Line title="Printed" />
          <Text of={reply.log} />
        </>
      )}
    </>
  );
}

function EndShown({ end }: { end: SaidEnd }) {
  const said = end.summary ?? end.result ?? null;
  return (
    <>
      <p class="line">
        <Badge status={end.status} />
        {end.task_id && <a href={`#${itemId(end.task_id)}`}>its task</a>}
      </p>
      {said !== null && <Text of={said} />}
      {said === null && end.reason && <p class="reason">{oneLine(end.reason, REASON_CHARS_MAX)}</p>}
    </>
  );
}

function Plain({ of }: { of: unknown }) {
  return <Text of={JSON.stringify(of, null, 2)} />;
}

function callsIn(messages: readonly Said[]): Calls {
  const calls = new Map<string, string>();
  for (const message of messages) {
    if (message.type !== "model.replied") continue;
    for (const block of message.content) {
      if (block.type === "tool_use") calls.set(block.id, block.name);
    }
  }
  return calls;
}

/** What a child returned travels as JSON; any other text is not an ending. */
function endIn(content: string): SaidEnd | null {
  if (!content.startsWith('{"status":')) return null;
  try {
    return childEnd.safeParse(JSON.parse(content)).data ?? null;
  } catch {
    return null;
  }
}

const childEnd = z.object({
  status: z.enum(["done", "failed", "cancelled"]),
  task_id: z.string(),
  result: z.string().nullish(),
  summary: z.string().nullish(),
  reason: z.string().nullish(),
});
