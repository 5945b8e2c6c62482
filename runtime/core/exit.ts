/** How the program ends, as its exit code says it. */
export const EXIT = {
  ok: 0,
  /** The task failed. */
  failed: 1,
  /** It was started in a way that cannot work: starting again changes nothing (sysexits.h EX_CONFIG). */
  config: 78,
  /** A part that cannot be replaced alone died: starting again is the cure (sysexits.h EX_SOFTWARE). */
  restart: 70,
} as const;
