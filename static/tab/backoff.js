// backoff.js spreads what many tabs try again at once.

/** Pauses that double up to a limit, each with a jitter of a quarter more or less. */
export class Backoff {
  #min;
  #max;
  #random;
  #delay;

  /**
   * @param {number} min - the first pause, in milliseconds
   * @param {number} max - the longest pause before the jitter
   * @param {() => number} random - from 0 to 1, without the 1
   */
  constructor(min, max, random) {
    this.#min = this.#delay = min;
    this.#max = max;
    this.#random = random;
  }

  /** The pause before the next attempt, in milliseconds. */
  pause() {
    return this.#delay * (0.75 + this.#random() / 2);
  }

  /** An attempt has been made: the next pause is longer. */
  grow() {
    this.#delay = Math.min(this.#delay * 2, this.#max);
  }

  /** One attempt has worked: the next pause is the first again. */
  reset() {
    this.#delay = this.#min;
  }
}
