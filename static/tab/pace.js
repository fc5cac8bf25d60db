// pace.js does something not too often, however often it is asked for.

/**
 * Time: as performance.now, setTimeout and clearTimeout.
 * @typedef {object} Clock
 * @property {() => number} now - ms, and never goes backwards
 * @property {(job: () => void, ms: number) => ReturnType<typeof setTimeout>} later
 * @property {(timer: ReturnType<typeof setTimeout> | undefined) => void} cancel
 */

/** Something that is done once in a while at most: late, but never forgotten. */
export class Pace {
  #job;
  #clock;
  #last = -Infinity;
  #due = Infinity; // when it is to be done
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => void} job
   * @param {Clock} clock
   */
  constructor(job, clock) {
    this.#job = job;
    this.#clock = clock;
  }

  /**
   * Asks for it. Asking twice has it done once, at the earlier of both times.
   * @param {number} pause - ms since it was last done, at least
   */
  ask(pause) {
    const now = this.#clock.now();
    const due = Math.max(this.#last + pause, now);
    if (due >= this.#due) return;
    this.#clock.cancel(this.#timer);
    this.#due = due;
    this.#timer = this.#clock.later(() => this.#do(), due - now);
  }

  #do() {
    this.#due = Infinity;
    this.#last = this.#clock.now();
    this.#job();
  }
}
