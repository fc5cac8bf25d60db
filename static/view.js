// view.js is what live.js says to the person: the badge, how many clicks wait, the notice.

import { look } from './tab/badge.js';

/**
 * How a tab is: see look in badge.js. clicks is how many wait.
 * @typedef {Omit<Parameters<typeof look>[0], 'hidden' | 'shown'> & { clicks: number }} Status
 */

/**
 * A part of the page, or a stand-in: a page may leave parts out.
 * @param {string} id
 */
const part = (id) => document.getElementById(id) ?? document.createElement('p');

/** The parts of a page that say how it is. */
export class View {
  #badge = part('status');
  #waiting = part('waiting');
  #notice = part('notice');
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** What the badge says: at first, what the server has put there. */
  get state() {
    return this.#badge.dataset.state;
  }

  /**
   * Shows how it is, and again when that changes by itself.
   * @param {() => Status} status - how it is when it is called
   */
  show(status) {
    clearTimeout(this.#timer);
    const { downFor, age, clicks, server } = status();
    const next = look({ downFor, age, server, hidden: document.hidden, shown: this.state });
    if (this.state !== next.state) this.#badge.dataset.state = next.state;
    this.#waiting.hidden = !next.waiting;
    this.#waiting.dataset.n = String(clicks);
    const number = this.#waiting.firstElementChild;
    if (number) number.textContent = String(clicks);
    if (next.due < Infinity) this.#timer = setTimeout(() => this.show(status), next.due + 1);
  }

  /** @param {string} text */
  tell(text) {
    if (this.#notice.textContent !== text) this.#notice.textContent = text;
  }

  /** Says that there is no room for more clicks. */
  tellFull() {
    this.tell(this.#notice.dataset.full ?? '');
  }

  /** Takes that back. */
  untellFull() {
    if (this.#notice.textContent === this.#notice.dataset.full) this.tell('');
  }
}
