/** What is handed to the processes of Troupe when they start. */

/** The environment variables that Troupe reads; `runtime/config.ts` says what each may be. */
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
  "DEBUG_MODE",
] as const;
