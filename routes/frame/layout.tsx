/** The frame around every page: head, header, the one live connection, and the notice. */
import type { ComponentChildren } from "preact";
import { render } from "preact-render-to-string";
import { ASSETS } from "./static/assets.ts";

/**
 * Nothing inline, nothing from elsewhere. Pico draws its arrows with `data:` images.
 */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "object-src 'none'",
].join("; ");

// What a person opened or closed stays so: an update never touches `open`.
const HTMX_CONFIG = JSON.stringify({
  history: false,
  includeIndicatorCSS: false,
  morphIgnore: ["data-htmx-powered", "open"],
});

interface Framed {
  readonly title: string;
  /** Where the page's updates come from; null for a page that does not change. */
  readonly stream: string | null;
  /** The model that agents use by default; null for the offline model. */
  readonly model: string | null;
  readonly children: ComponentChildren;
}

/** The whole document as text. */
export function page(frame: Framed): string {
  return `<!DOCTYPE html>${render(<Layout {...frame} />)}`;
}

function Layout({ title, stream, model, children }: Framed) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="htmx-config" content={HTMX_CONFIG} />
        <title>{title}</title>
        <link rel="icon" type="image/svg+xml" href={ASSETS.icon.path} />
        <link rel="stylesheet" href={ASSETS.pico.path} />
        <link rel="stylesheet" href={ASSETS.troupe.path} />
        <script src={ASSETS.htmx.path} defer />
      </head>
      <body>
        <header class="container top">
          <a class="brand" href="/">
            <img src={ASSETS.icon.path} alt="" width="24" height="24" />
            Troupe
          </a>
          {model ? <small>{model}</small> : (
            <span class="offline">
              <strong>Offline model.</strong>{" "}
              No real model is connected: a small program plays the demo tasks. Connect one with
              {" "}
              <code>ANTHROPIC_API_KEY</code> or <code>ANTHROPIC_BASE_URL</code>.
            </span>
          )}
          <a class="to-system" href="/system">System</a>
        </header>
        <main class="container">{children}</main>
        {stream && <Live stream={stream} />}
      </body>
    </html>
  );
}

/** A connection that failed at first is not tried again by itself, hence the second trigger. */
function Live({ stream }: { stream: string }) {
  return <div hidden hx-sse:connect={stream} hx-trigger="load, every 2s" hx-swap="none" />;
}
