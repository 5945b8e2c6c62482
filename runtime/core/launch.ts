/** What is handed to the processes of Troupe when they start. */

/** The environment variables that Troupe reads; `runtime/core/config.ts` says what each may be. */
export const VARIABLES = [
  "HOST",
  "PORT",
  "DATA_DIR",
  "DATABASE_URL",
  "MAX_CONCURRENT_AGENTS",
  "DEFAULT_TIMEOUT_SECONDS",
  "SUPERVISOR_CHECK_INTERVAL",
  "TROUPE_ADMIN_TOKEN",
  "CONTAINMENT",
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_BASE_URL",
  "TROUPE_MODEL",
  "TROUPE_MODEL_FAST",
  "TROUPE_MODEL_STRONG",
  "MODEL_CASSETTE",
  "DEBUG_MODE",
] as const;

/** Where the launcher tells a kernel how the one before it ended: `died` of itself, or nothing. */
export const PREDECESSOR = "TROUPE_PREDECESSOR";
/**
 * What the kernel takes of its surroundings besides: where programs, packages and folders are, and how
 * the network is reached. Nothing else reaches it: with a loader's variable such as `LD_LIBRARY_PATH`
 * in its environment Deno lets it start no program at all.
 */
export const SURROUNDINGS = [
  "PATH",
  "HOME",
  "TMPDIR",
  "TZ",
  "LANG",
  "NO_COLOR",
  "XDG_CACHE_HOME",
  "DENO_DIR",
  "NPM_CONFIG_REGISTRY",
  "DENO_CERT",
  "DENO_TLS_CA_STORE",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((
    name,
  ) => [name, name.toLowerCase()]),
] as const;

/** The line of a kernel's output that is a sign of life, and nothing to show. */
export const HEARTBEAT = "alive";

/** What the model's SDK looks up when it starts, found by running. Only the key is ever set. */
export const SDK_VARIABLES = [
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_AUTH_TOKEN",
  "ANTHROPIC_BASE_URL",
  "ANTHROPIC_LOG",
  "ANTHROPIC_CUSTOM_HEADERS",
  "ANTHROPIC_WEBHOOK_SIGNING_KEY",
  "ANTHROPIC_PROFILE",
  "ANTHROPIC_OPEN_TELEMETRY",
  "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION",
  "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE",
  "ANTHROPIC_OPEN_TELEMETRY_TRACES_MAX_CONTENT_BYTES",
] as const;
