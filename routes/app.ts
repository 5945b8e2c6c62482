/** The whole of HTTP: who may come in, then one resource a file, and what an error looks like. */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { type Config, isLoopback } from "../runtime/core/config.ts";
import { REQUEST_BYTES_MAX, STREAMS_MAX } from "../runtime/core/limits.ts";
import type { Kernel } from "../runtime/kernel.ts";
import { KeyTaken, NotAllowed, NotThere, Refusal } from "../runtime/core/refusal.ts";
import { admit } from "./http/admission.ts";
import { health } from "./api/health.ts";
import { pages } from "./pages/mod.tsx";
import { Places } from "./http/places.ts";
import { badField, notFound, Problem, problemResponse } from "./http/problem.ts";
import { reviews } from "./api/reviews.ts";
import { system } from "./api/system.ts";
import { tasks } from "./api/tasks.ts";
import { tools } from "./api/tools.ts";
import { trees } from "./api/trees.ts";

export function createApp(
  kernel: Kernel,
  config: Pick<Config, "host" | "admin_token">,
  streams_max = STREAMS_MAX,
): Hono {
  const app = new Hono();
  const places = new Places(streams_max);
  app.route("/", health(kernel));
  app.use(admit({ loopback: isLoopback(config.host), admin_token: config.admin_token }));
  app.use(bodyLimit({ maxSize: REQUEST_BYTES_MAX, onError: tooLarge }));
  app.route("/api/trees", trees(kernel, places));
  app.route("/api/tasks", tasks(kernel));
  app.route("/api/reviews", reviews(kernel));
  app.route("/api/tools", tools(kernel));
  app.route("/api/system", system(kernel));
  app.route("/", pages(kernel, places));
  app.notFound((c) =>
    problemResponse(c, new Problem(404, "Not found", `There is nothing at ${c.req.path}`))
  );
  app.onError((error, c) => {
    if (error instanceof Problem) return problemResponse(c, error);
    if (error instanceof Refusal) {
      return problemResponse(c, badField(error.field, error.message));
    }
    if (error instanceof NotThere) return problemResponse(c, notFound(error.what, error.id));
    if (error instanceof KeyTaken) {
      return problemResponse(c, new Problem(422, "Unprocessable content", error.message));
    }
    if (error instanceof NotAllowed) {
      return problemResponse(c, new Problem(403, "Forbidden", error.message));
    }
    // The store's own error; only `db/` knows its class.
    if (error.name === "StoreError") {
      return problemResponse(c, new Problem(503, "Service unavailable", error.message));
    }
    if (error instanceof HTTPException) {
      return problemResponse(c, new Problem(error.status, "Error", error.message));
    }
    // A bug: whoever runs Troupe sees where it is, whoever asked does not.
    kernel.log(`${c.req.method} ${c.req.path} failed: ${error.stack}`);
    const detail = "Something went wrong here; the console says more";
    return problemResponse(c, new Problem(500, "Internal server error", detail));
  });
  return app;
}

function tooLarge(): never {
  const detail = `The body is longer than ${REQUEST_BYTES_MAX} bytes`;
  throw new Problem(413, "Content too large", detail);
}
