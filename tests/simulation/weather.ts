/** How often what goes wrong, in percent: drawn once a seed, and nothing at all once it is calm. */
import type { World } from "./world.ts";

export interface Weather {
  /** A group that is not written: the disk is full. */
  readonly unwritten: number;
  /** A group that is written, and answered with an error. */
  readonly unheard: number;
  /** A group that is written, and answered later. */
  readonly late: number;
  /** A read that fails. */
  readonly unread: number;
  /** The kernel is killed before, or after, something is done. */
  readonly killed: number;
  /** A worker that fails at an envelope. */
  readonly failing: number;
  /** A cell that dies with all its workers. */
  readonly dying: number;
  /** A model call that gives nothing. */
  readonly unanswered: number;
  /** The disk is full for a long time. */
  readonly full: number;
}

export const CALM: Weather = {
  unwritten: 0,
  unheard: 0,
  late: 0,
  unread: 0,
  killed: 0,
  failing: 0,
  dying: 0,
  unanswered: 0,
  full: 0,
};

/** Most seeds have one kind of trouble or two: all at once would hide what each of them does. */
export function drawWeather(world: World): Weather {
  const some = (most: number) => world.chance(40) ? world.next() * most : 0;
  return {
    unwritten: some(15),
    unheard: some(15),
    late: some(30),
    unread: some(2),
    killed: some(3),
    failing: some(10),
    dying: some(4),
    unanswered: some(20),
    full: some(2),
  };
}
