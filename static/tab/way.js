// way.js decides how a tab without websockets gets what is new, and when to try a socket again.

import { POLL_HIDDEN, POLL_VISIBLE, PROBE_MAX, PROBE_MIN } from '../constants.js';

/** How a tab gets what is new: by a stream, or by asking from time to time. */
export class Way {
  #probe = PROBE_MIN;
  #buffered = false;

  /** A stream brought nothing in its time: something holds it back until it ends. */
  held() {
    this.#buffered = true;
  }

  /**
   * Reports whether to open a stream. With HTTP/1 a browser has six connections to a server for all
   * its tabs, so only tabs that are looked at have one, and only some of them.
   * @param {{ hidden: boolean, multiplexed: boolean }} tab - multiplexed: with HTTP/2 or later
   */
  streams({ hidden, multiplexed }) {
    return !this.#buffered && (multiplexed || !hidden);
  }

  /**
   * The pause before asking again, in milliseconds.
   * @param {boolean} hidden
   */
  pause(hidden) {
    return hidden ? POLL_HIDDEN : POLL_VISIBLE;
  }

  /** The pause before the next try to get a socket, in milliseconds. It doubles each time. */
  probe() {
    const pause = this.#probe;
    this.#probe = Math.min(2 * pause, PROBE_MAX);
    return pause;
  }
}
