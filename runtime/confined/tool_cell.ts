/**
 * A tool cell: the process in which one call of a tool runs that an agent wrote. It connects to the
 * kernel, says which process it is, gives up the right to do so again, loads the tool as one module, calls
 * it once, ends what it printed with a mark, and reports.
 * The code that it runs is hostile: nothing here protects the kernel, the process does.
 */
import { CELL, FrameWriter, NONCE, readFrames } from "./wire.ts";
import { reasonOf } from "../core/reason.ts";

/** The call, as the kernel sends it. */
export interface ToolJob {
  /** A TypeScript module. */
  readonly source: string;
  readonly input: unknown;
  readonly context: { readonly workspace: string | null };
  /** Ends both outputs before the report: what was printed comes another way, and may come later. */
  readonly mark: string;
}

/** What the cell reports; exactly one. */
export type ToolReport = { readonly ok: true; readonly value: unknown } | {
  readonly ok: false;
  readonly error: string;
};

const path = Deno.args[0];
const connection = await Deno.connect({ transport: "unix", path });
// The kernel's other sockets are out of reach by their paths already; now this one is, too. The types
// know no grant for a Unix socket.
Deno.permissions.revokeSync({ name: "net", host: `unix:${path}` } as Deno.NetPermissionDescriptor);
Deno.permissions.revokeSync({ name: "read", path });
Deno.permissions.revokeSync({ name: "write", path });

const outputs = [Deno.stdout, Deno.stderr].map((output) => output.writeSync.bind(output));
const out = new FrameWriter(connection, () => Deno.exit(0));
out.write(CELL, Deno.env.get(NONCE)!);
Deno.env.delete(NONCE);
Deno.permissions.revokeSync({ name: "env", variable: NONCE });
await readFrames(connection, (_, body) => {
  perform(JSON.parse(new TextDecoder().decode(body)));
});
Deno.exit(0);

async function perform({ source, input, context, mark }: ToolJob): Promise<void> {
  let report: ToolReport;
  try {
    // Text, and never a file: a module of the agent's must not be an entry that may read what we may.
    const module = await import(
      `data:application/typescript;charset=utf-8,${encodeURIComponent(source)}`
    );
    if (typeof module.default !== "function") {
      throw new Error("The module has no function as its default export");
    }
    report = { ok: true, value: await module.default(input, context) };
  } catch (error) {
    report = { ok: false, error: reasonOf(error) };
  }
  end(mark);
  try {
    out.write(CELL, JSON.stringify(report.ok ? { ok: true, value: report.value ?? null } : report));
  } catch (error) {
    out.write(CELL, JSON.stringify({ ok: false, error: reasonOf(error) }));
  }
}

function end(mark: string): void {
  for (const write of outputs) {
    try {
      write(new TextEncoder().encode(mark));
    } catch {
      // The tool closed it, or broke what is around it: it is waited for a little.
    }
  }
}
