// voice.js says that the count has changed: to the eye by a small movement, in the title of the
// tab, and to the ear. Changes may come twenty times a second. Nobody wants to hear that, and
// light that goes on and off more than three times a second can cause seizures (WCAG 2.3.1): the
// movement changes no brightness, and comes twice a second at most.

import { Pace } from './tab/pace.js';

const MARK = 500; // ms between two movements, at least
const TITLE = 1000; // ms between two titles
const CALM = 4000; // ms between two sentences
const OWN = 1000; // ms between two, when this person has clicked

/** @type {import('./tab/pace.js').Clock} */
const clock = {
  now: () => performance.now(),
  later: (job, ms) => setTimeout(job, ms),
  cancel: (timer) => clearTimeout(timer),
};

/** Watches a page's counter, and says what becomes of it. */
export class Voice {
  #root;
  #count;
  #own = false; // a click of this person's may be in the next change
  #mark = new Pace(() => this.#move(), clock);
  #title = new Pace(() => this.#name(), clock);
  #sentence = new Pace(() => this.#say(), clock);

  /** @param {HTMLElement} root - has the counter in it */
  constructor(root) {
    this.#root = root;
    this.#count = this.#read();
  }

  start() {
    const watch = { subtree: true, childList: true, attributeFilter: ['data-count'] };
    new MutationObserver(() => this.#changed()).observe(this.#root, watch);
    addEventListener('submit', (e) => {
      this.#own = true;
      const form = /** @type {Element} */ (e.target);
      /** @type {HTMLElement | null} */ (form.closest('[popover]'))?.hidePopover?.();
    });
  }

  /** @param {string} selector */
  #part(selector) {
    return this.#root.querySelector(selector);
  }

  /** What the count is, as programs read it. */
  #read() {
    return /** @type {HTMLElement | null} */ (this.#part('[data-count]'))?.dataset.count;
  }

  /** What it is, as people do. */
  get #number() {
    return this.#part('.number')?.textContent?.trim();
  }

  #changed() {
    const count = this.#read();
    if (count === this.#count) return;
    this.#count = count;
    this.#mark.ask(MARK);
    this.#title.ask(TITLE);
    this.#sentence.ask(this.#own ? OWN : CALM);
    this.#own = false;
  }

  #move() {
    if (!matchMedia('(prefers-reduced-motion: no-preference)').matches) return;
    this.#part('.number')?.animate({ transform: ['translateY(.035em) scale(.985)', 'none'] },
      { duration: 320, easing: 'cubic-bezier(.2, .8, .3, 1)' });
  }

  // As Page.Title in package components.
  #name() {
    const name = `${this.#part('h1')?.textContent} · Lockstep`;
    document.title = this.#count ? `${this.#number} · ${name}` : name;
  }

  #say() {
    const said = document.getElementById('said');
    if (said && this.#count) said.textContent = `The count is ${this.#number}.`;
  }
}
