// uptime.js knows since when a tab is connected, or is not.

import { SHORT_CONNECTION } from '../constants.js';

/** The ups and downs of the connection. A page begins without one. */
export class Uptime {
  #now;
  /** @type {number | null} since when there is no connection; null: there is one */
  #down;
  /** @type {number | null} since when there is one; null: there is none */
  #up = null;
  #flaps = 0; // short connections in a row

  /** @param {() => number} now - in milliseconds */
  constructor(now) {
    this.#now = now;
    this.#down = now();
  }

  /** For how long there has been no connection, in milliseconds; null: there is one. */
  get downFor() {
    return this.#down === null ? null : this.#now() - this.#down;
  }

  /** A socket is open: that proves nothing yet. */
  opened() {
    this.#up = this.#now();
  }

  /** The server has spoken. */
  heard() {
    this.#down = null;
  }

  /**
   * The connection is not to be relied on, whether or not its end has been seen.
   * @param {number} [ago] - since when, in milliseconds before now
   */
  lost(ago = 0) {
    this.#down ??= this.#now() - ago;
  }

  /**
   * A connection has ended, or an attempt to get one.
   * @returns {boolean} whether there was a connection
   */
  closed() {
    this.lost();
    const worked = this.#up !== null;
    this.#flaps = this.#up !== null && this.#now() - this.#up < SHORT_CONNECTION ? this.#flaps + 1 : 0;
    this.#up = null;
    return worked;
  }

  /** A page that comes back begins to wait anew. */
  forgive() {
    if (this.#down !== null) this.#down = this.#now();
  }

  /**
   * The number of the attempt that the next pause goes by. A connection that is accepted and closed
   * at once counts as an attempt that failed: it would come back at full speed.
   * @param {number} attempt - as hx-ws counts, from 0 with each connection that opens
   */
  attempt(attempt) {
    return Math.max(attempt, this.#flaps - 1);
  }
}
