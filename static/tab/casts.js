// casts.js sends what may be lost, such as what somebody is about to type: not too often, and never
// but the newest.

import { CAST_PAUSE } from '../constants.js';
import { Pace } from './pace.js';

/**
 * @typedef {{ cast: string, t: string, in: Record<string, unknown> }} Cast
 */

/** The casts of a page. There are as many kinds of them as the page has names and topics. */
export class Casts {
  #clock;
  #send;
  /** @type {Map<string, { cast: Cast, pace: Pace }>} by topic and name */
  #newest = new Map();

  /**
   * @param {import('./pace.js').Clock} clock
   * @param {(cast: Cast) => void} send - if there is a connection
   */
  constructor(clock, send) {
    this.#clock = clock;
    this.#send = send;
  }

  /** @param {Cast} cast */
  add(cast) {
    const key = JSON.stringify([cast.t, cast.cast]);
    const known = this.#newest.get(key);
    if (known) known.cast = cast;
    const kind = known ?? { cast, pace: new Pace(() => this.#send(kind.cast), this.#clock) };
    this.#newest.set(key, kind);
    kind.pace.ask(CAST_PAUSE);
  }
}
