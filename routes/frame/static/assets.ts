/** The files a page loads, held in memory under names that change with their content. */
import pico from "@picocss/pico/css/pico.min.css" with { type: "text" };
import sse from "htmx.org/dist/ext/hx-sse.min.js" with { type: "text" };
import htmx from "htmx.org/dist/htmx.min.js" with { type: "text" };
import troupe from "./troupe.css" with { type: "text" };
import icon from "./troupe.svg" with { type: "text" };

export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly text: string;
}

const CSS = "text/css; charset=utf-8";

export const ASSETS = {
  pico: await asset("pico", "css", CSS, pico),
  troupe: await asset("troupe", "css", CSS, troupe),
  // One file: two deferred scripts may run in either order, and the extension needs the core.
  htmx: await asset("htmx", "js", "text/javascript; charset=utf-8", `${htmx}\n;${sse}`),
  icon: await asset("troupe", "svg", "image/svg+xml", icon),
};

const byPath = new Map<string, Asset>(Object.values(ASSETS).map((one) => [one.path, one]));

export function findAsset(path: string): Asset | undefined {
  return byPath.get(path);
}

async function asset(name: string, extension: string, type: string, text: string): Promise<Asset> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hash = new Uint8Array(digest).toHex().slice(0, 12);
  return { path: `/static/${name}.${hash}.${extension}`, type, text };
}
