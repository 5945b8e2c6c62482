/**
 * What a person sees and sends: the home page, one page a tree, the system page, their updates, and
 * static files.
 */
import { Hono } from "hono";
import type { ComponentChildren } from "preact";
import { findMedia } from "../../db/media.ts";
import { newestTrees } from "../../db/trees.ts";
import { begin, PERSON } from "../../runtime/core/command.ts";
import { STREAM_RETRY_SECONDS, TITLE_CHARS_MAX } from "../../runtime/core/limits.ts";
import type { Kernel } from "../../runtime/kernel.ts";
import { oneLine, Trouble } from "../frame/components.tsx";
import { type Mistake, mistakeIn } from "./home/mistake.ts";
import { Home } from "./home/page.tsx";
import { liveHome } from "./home/live.tsx";
import { CONTENT_SECURITY_POLICY, page } from "../frame/layout.tsx";
import { check, readAs } from "../http/body.ts";
import { readForm, typed } from "../http/form.ts";
import { PageStreams } from "../frame/stream.ts";
import type { Places } from "../http/places.ts";
import { turnedAway } from "../http/problem.ts";
import { decideOn, decision } from "../api/reviews.ts";
import { findAsset } from "../frame/static/assets.ts";
import { readSystem } from "../api/system.ts";
import { liveSystem } from "./system/live.tsx";
import { SystemPage } from "./system/page.tsx";
import { TreePage } from "./tree/page.tsx";
import { liveTree, readFamily, readTree } from "./tree/live.tsx";

export function pages(kernel: Kernel, places: Places): Hono {
  const app = new Hono();
  const db = kernel.read;
  const streams = new PageStreams(kernel.events, places);

  app.use(async (c, next) => {
    await next();
    c.header("content-security-policy", CONTENT_SECURITY_POLICY);
    c.header("x-content-type-options", "nosniff");
    c.header("referrer-policy", "same-origin");
  });

  app.get("/", async (c) => c.html(await home(kernel)));

  app.post("/trees", async (c) => {
    const form = await readForm(c);
    const read = readAs(begin, { ...typed(begin, form), verb: "begin" });
    if (!read.success) {
      const mistake = mistakeIn(form, read.issues);
      return c.html(await home(kernel, mistake), mistake.status);
    }
    const done = await kernel.dispatch(read.data, PERSON);
    if (done.ok) return c.redirect(`/trees/${done.answer.tree_id}`, 303);
    const text = `It was not started, and nothing of it was kept: ${done.reason}. Try again.`;
    return c.html(trouble(kernel, "Your task could not be started", text), 503);
  });

  app.get("/trees/:id", async (c) => {
    const id = c.req.param("id");
    const read = await readTree(db, id);
    if (!read) return c.html(trouble(kernel, "There is no such task", NO_TREE), 404);
    const family = await readFamily(db, read.marks);
    return c.html(page({
      title: `${oneLine(read.tree.instruction, TITLE_CHARS_MAX)} – Troupe`,
      stream: `/trees/${id}/stream`,
      model: modelOf(kernel),
      children: <TreePage tree={read.tree} marks={read.marks} family={family} />,
    }));
  });

  app.post("/reviews/:id/decision", async (c) => {
    const review_id = c.req.param("id");
    const decided = check(decision, typed(decision, await readForm(c)));
    const tree_id = await decideOn(kernel, { verb: "decide", review_id, ...decided });
    return c.redirect(`/trees/${tree_id}`, 303);
  });

  app.get("/stream", (c) => {
    return streams.open("*", () => liveHome(db, kernel.clock)) ??
      c.text(TOO_MANY, 503, turnedAway(STREAM_RETRY_SECONDS));
  });

  app.get("/trees/:id/stream", async (c) => {
    const read = await readTree(db, c.req.param("id"));
    if (!read) return c.text(NO_TREE, 404);
    return streams.open(read.tree.id, () => liveTree(db, read, kernel)) ??
      c.text(TOO_MANY, 503, turnedAway(STREAM_RETRY_SECONDS));
  });

  app.get("/media/:hash", async (c) => {
    const [media] = await findMedia(db, [c.req.param("hash")]);
    if (!media) return c.text("There is no such picture or document", 404);
    // What an agent found somewhere must not act as a page of ours.
    c.header("cache-control", "private, max-age=31536000, immutable");
    return c.body(Uint8Array.fromBase64(media.base64), 200, { "content-type": media.media_type });
  });

  app.get("/system", async (c) => {
    const read = { system: await readSystem(kernel), now: kernel.clock.now() };
    return c.html(page({
      title: "System – Troupe",
      stream: "/system/stream",
      model: modelOf(kernel),
      children: <SystemPage {...read} />,
    }));
  });

  // No tree is called so: nothing wakes it but the time.
  app.get("/system/stream", (c) => {
    return streams.open("system", () => liveSystem(kernel)) ??
      c.text(TOO_MANY, 503, turnedAway(STREAM_RETRY_SECONDS));
  });

  app.get("/static/:file", (c) => {
    const asset = findAsset(c.req.path);
    if (!asset) return c.text("There is no such file", 404);
    c.header("cache-control", "public, max-age=31536000, immutable");
    return c.body(asset.text, 200, { "content-type": asset.type });
  });

  return app;
}

const NO_TREE = "Nothing was ever asked under this address. Maybe a part of the link is missing.";
const TOO_MANY = "Too many pages are open at once: this one shows what was, not what happens";

async function home(kernel: Kernel, mistake?: Mistake): Promise<string> {
  const trees = await newestTrees(kernel.read);
  const props = { trees, playbooks: kernel.about.playbooks, now: kernel.clock.now(), mistake };
  const model = modelOf(kernel);
  return page({ title: "Troupe", stream: "/stream", model, children: <Home {...props} /> });
}

function trouble(kernel: Kernel, title: string, text: string): string {
  const children: ComponentChildren = <Trouble title={title} text={text} />;
  return page({ title: `${title} – Troupe`, stream: null, model: modelOf(kernel), children });
}

/** What the header says of the model; null for the offline model. */
function modelOf({ about: { provider, replays } }: Kernel): string | null {
  if (replays) return "Recorded model calls are played back";
  return provider?.models.default ?? null;
}
