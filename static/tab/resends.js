// resends.js spreads what is sent again because a replica could not take it.

import { RETRY_MAX, RETRY_MIN } from '../constants.js';
import { Backoff } from './backoff.js';

/**
 * @import { Clock } from './pace.js'
 *
 * @typedef {{ timer?: ReturnType<typeof setTimeout>, pauses: Backoff }} Turn
 */

/** The topics of which a replica could not take an op: their ops wait for a while, all of them. */
export class Resends {
  #clock;
  #random;
  #again;
  /** @type {Map<string, Turn>} by topic */
  #turns = new Map();

  /**
   * @param {Clock} clock
   * @param {() => number} random - from 0 to 1, without the 1
   * @param {(topic: string) => void} again - the ops of a topic are to be sent again
   */
  constructor(clock, random, again) {
    this.#clock = clock;
    this.#random = random;
    this.#again = again;
  }

  /** @param {string} topic - a replica could not take one of its ops */
  retry(topic) {
    const turn = this.#turns.get(topic) ??
      { pauses: new Backoff(RETRY_MIN, RETRY_MAX, this.#random) };
    this.#turns.set(topic, turn);
    turn.timer ??= this.#clock.later(() => {
      turn.timer = undefined;
      turn.pauses.grow();
      this.#again(topic);
    }, turn.pauses.pause());
  }

  /** @param {string} topic */
  waits(topic) {
    return this.#turns.get(topic)?.timer !== undefined;
  }

  /** @param {string} topic - a replica takes its ops; they wait no longer than until now */
  works(topic) {
    this.#turns.get(topic)?.pauses.reset();
  }

  /** The connection has ended: the next begins with all that waits. */
  reset() {
    for (const { timer } of this.#turns.values()) this.#clock.cancel(timer);
    this.#turns.clear();
  }
}
