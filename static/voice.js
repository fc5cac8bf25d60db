// voice.js says that a room has changed: to the eye by a small movement, in the title of the tab,
// and to the ear. What it says is what the room's data-sum says, or its data-count, which is a
// number that the room shows. Changes may come twenty times a second. Nobody wants to hear that,
// and light that goes on and off more than three times a second can cause seizures (WCAG 2.3.1):
// the movement changes no brightness, and comes twice a second at most.

import { Pace } from './tab/pace.js';

const MARK = 500; // ms between two movements, at least
const TITLE = 1000; // ms between two titles
const CALM = 4000; // ms between two sentences
const OWN = 1000; // ms between two, when this person has clicked

/**
 * What is said of a room, as programs read it; "": nothing.
 * @param {HTMLElement | null} room
 */
const read = (room) => room?.dataset.sum ?? room?.dataset.count ?? '';

/** Watches a page's rooms, and says what becomes of them. */
export class Voice {
  #root;
  /** @type {HTMLElement | null} that has changed last */
  #room = null;
  #own = false; // a click of this person's may be in the next change
  #mark;
  #title;
  #sentence;

  /**
   * @param {HTMLElement} root - has the rooms in it
   * @param {import('./tab/pace.js').Clock} clock
   */
  constructor(root, clock) {
    this.#root = root;
    this.#mark = new Pace(() => this.#move(), clock);
    this.#title = new Pace(() => this.#name(), clock);
    this.#sentence = new Pace(() => this.#say(), clock);
  }

  start() {
    const watch = { subtree: true, attributeFilter: ['data-sum', 'data-count'], attributeOldValue: true };
    new MutationObserver((all) => all.forEach((one) => this.#look(one))).observe(this.#root, watch);
    addEventListener('submit', (e) => {
      this.#own = true;
      const form = /** @type {Element} */ (e.target);
      /** @type {HTMLElement | null} */ (form.closest('[popover]'))?.hidePopover?.();
    });
  }

  /** @param {MutationRecord} record */
  #look({ target, attributeName, oldValue }) {
    const room = /** @type {HTMLElement} */ (target);
    if (room.getAttribute(attributeName ?? '') !== oldValue) this.#changed(room);
  }

  /** @param {HTMLElement} room */
  #changed(room) {
    this.#room = room;
    this.#mark.ask(MARK);
    this.#title.ask(TITLE);
    this.#sentence.ask(this.#own ? OWN : CALM);
    this.#own = false;
  }

  #move() {
    if (!matchMedia('(prefers-reduced-motion: no-preference)').matches) return;
    this.#room?.querySelector('.number')?.animate({ transform: ['translateY(.035em) scale(.985)', 'none'] },
      { duration: 320, easing: 'cubic-bezier(.2, .8, .3, 1)' });
  }

  /**
   * What is said of a room, as people read it.
   * @param {HTMLElement | null} room
   */
  #sum(room) {
    return room?.dataset.sum ?? (read(room) && room?.querySelector('.number')?.textContent?.trim());
  }

  // As Page.Title in package pages: of the first room.
  #name() {
    /** @type {HTMLElement | null} */
    const room = this.#root.querySelector('[data-topic][data-version]');
    const name = `${room?.querySelector('h1')?.textContent} · Lockstep`;
    const sum = this.#sum(room);
    document.title = sum ? `${sum} · ${name}` : name;
  }

  #say() {
    const said = document.getElementById('said');
    const sum = this.#sum(this.#room);
    if (said && sum) said.textContent = this.#room?.dataset.count ? `The count is ${sum}.` : `${sum}.`;
  }
}
