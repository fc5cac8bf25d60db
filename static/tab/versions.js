// versions.js knows how new a state is that the page shows.

/** @import { At } from './message.js' */

/** The newest (epoch, version) of each topic that a page has shown. */
export class Versions {
  /** @type {Map<string, At>} */
  #shown = new Map();

  /**
   * The version of a topic; [0, 0] if nothing of it was shown.
   * @param {string} topic
   * @returns {At}
   */
  of(topic) {
    return this.#shown.get(topic) ?? [0, 0];
  }

  /** Those of all topics of which something was shown. */
  all() {
    return Object.fromEntries(this.#shown);
  }

  /**
   * Reports whether a state is older than the one shown: it comes from a replica that lags behind.
   * The same version is not older: it may be a fragment for another part of the page.
   * @param {string} topic
   * @param {At} at
   */
  isOlder(topic, [epoch, version]) {
    const [e, v] = this.of(topic);
    return epoch < e || (epoch === e && version < v);
  }

  /**
   * Reports whether changes can be shown that are right from a version of the topic on: what is
   * shown is of the same epoch, and as new. What changed before it is in them again, which does no
   * harm.
   * @param {string} topic
   * @param {At} at - what the changes lead to
   * @param {number} base
   */
  reaches(topic, [epoch], base) {
    const [e, v] = this.of(topic);
    return epoch === e && v >= base;
  }

  /**
   * @param {string} topic
   * @param {At} at
   */
  show(topic, at) {
    this.#shown.set(topic, at);
  }
}
