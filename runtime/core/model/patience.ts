/** How long a model call waits for what, and how often it is made again. */
import {
  MODEL_ATTEMPTS_MAX,
  MODEL_DEADLINE_MS,
  MODEL_FIRST_BYTE_MS,
  MODEL_RETRY_FIRST_MS,
  MODEL_RETRY_MAX_MS,
  MODEL_SILENCE_MS,
} from "../limits.ts";

export interface Patience {
  /** The whole call, waiting included. */
  readonly deadline_ms: number;
  readonly first_byte_ms: number;
  /** Between two bytes. */
  readonly silence_ms: number;
  readonly attempts_max: number;
  /** The first pause before another attempt. */
  readonly retry_first_ms: number;
}

export const PATIENCE: Patience = {
  deadline_ms: MODEL_DEADLINE_MS,
  first_byte_ms: MODEL_FIRST_BYTE_MS,
  silence_ms: MODEL_SILENCE_MS,
  attempts_max: MODEL_ATTEMPTS_MAX,
  retry_first_ms: MODEL_RETRY_FIRST_MS,
};

/**
 * Pause in ms before a call is made again: doubles each time, and half of it is drawn, so that calls which
 * failed together do not come back together.
 * @param attempts made so far, 1 or more
 * @param drawn from 0 to 1
 */
export function pauseAfter({ retry_first_ms }: Patience, attempts: number, drawn: number): number {
  const pause = Math.min(retry_first_ms * 2 ** (attempts - 1), MODEL_RETRY_MAX_MS);
  return pause * (0.5 + drawn / 2);
}
