// paints.js has a tab say when what it was sent is on the screen, if its replica has asked for
// that.

/** @import { At } from './message.js' */

const STALE = 10 * 1000; // ms; a frame that takes longer has waited for a page that nobody saw

/** What a tab says of its paints. */
export class Paints {
  #env;
  #every = 0; // ms; 0: nobody asks
  /** @type {Map<string, number>} by topic, when it was said last */
  #said = new Map();

  /**
   * @param {object} env
   * @param {() => number} env.now
   * @param {() => boolean} env.hidden - nobody sees the page
   * @param {(job: () => void) => void} env.frame - does it when a frame is done
   * @param {(cast: import('./casts.js').Cast) => void} env.send
   */
  constructor(env) {
    this.#env = env;
  }

  /** @param {number} every - seconds, at least, between two of one topic; 0: never */
  ask(every) {
    this.#every = every * 1000;
  }

  /**
   * A state is in the page.
   * @param {string} t - its topic
   * @param {At} at
   */
  shown(t, [e, v]) {
    const { now, hidden, frame, send } = this.#env, came = now();
    if (!this.#every || hidden() || came - (this.#said.get(t) ?? -Infinity) < this.#every) return;
    this.#said.set(t, came);
    frame(() => now() - came < STALE && send({ cast: '_painted', t, in: { e, v } }));
  }
}
