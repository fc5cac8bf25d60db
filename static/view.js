// view.js is what live.js says to the person: the badge, how many clicks wait and whether they are
// kept, how many are lost, the notice. The words are the page's.

import { look } from './tab/badge.js';

/**
 * @import { Post } from './tab/post.js'
 *
 * How a tab is: see look in badge.js, and Post.status.
 * @typedef {Omit<Parameters<typeof look>[0], 'hidden' | 'shown'> & Post['status']} Status
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
  #lost = part('lost');
  #unkept = part('unkept');
  #passing = false; // the notice is of what waits
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
    const { downFor, age, clicks, server, kept, keepsNothing } = status();
    const next = look({ downFor, age, server, hidden: document.hidden, shown: this.state });
    if (this.state !== next.state) this.#badge.dataset.state = next.state;
    this.#waiting.hidden = !next.waiting;
    this.#waiting.dataset.kept = kept;
    count(this.#waiting, clicks);
    this.#unkept.hidden = !keepsNothing;
    if (next.due < Infinity) this.#timer = setTimeout(() => this.show(status), next.due + 1);
  }

  /**
   * @param {string} text
   * @param {boolean} [passing] - it is over when nothing waits any more
   */
  tell(text, passing = false) {
    this.#passing = passing;
    if (this.#notice.textContent !== text) this.#notice.textContent = text;
  }

  /**
   * Says why a click is not taken.
   * @param {'full' | 'long' | 'file'} problem
   */
  tellOf(problem) {
    this.tell(this.#notice.dataset[problem] ?? '', problem === 'full');
  }

  /** Nothing waits any more. */
  untell() {
    if (this.#passing) this.tell('');
  }

  /**
   * Says, until the person has read it, of how many clicks nobody knows what has become of them.
   * @param {number} n - more
   */
  lose(n) {
    count(this.#lost, n + (this.#lost.hidden ? 0 : Number(this.#lost.dataset.n)));
    this.#lost.hidden = false;
    const button = this.#lost.querySelector('button');
    if (button) button.onclick = () => (this.#lost.hidden = true);
  }
}

/**
 * @param {HTMLElement} el - has the number as its first element, and words for one and for many
 * @param {number} n
 */
export function count(el, n) {
  el.dataset.n = String(n);
  const number = el.firstElementChild;
  if (number) number.textContent = String(n);
}
