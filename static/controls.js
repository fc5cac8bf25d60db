// controls.js keeps the controls of forms in step, of which a morph leaves out what is no
// attribute; and it leaves alone what a person is at. What that means is decided in tab/edits.js.

import { formOf } from './fields.js';
import { Edits } from './tab/edits.js';

/**
 * @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field
 * @typedef {HTMLDetailsElement | HTMLDialogElement} Fold
 */

const FIELDS = 'input:not([type=file]),select,textarea';
const FOLDS = 'details,dialog';

/**
 * An element and what is in it, as far as a selector matches.
 * @param {Element} root
 * @param {string} selector
 * @returns {any[]}
 */
function all(root, selector) {
  return [root, ...root.querySelectorAll(selector)].filter((el) => el.matches(selector));
}

/**
 * What goes into a form together.
 * @param {Element} el - a form, or a control
 * @returns {any[]}
 */
function together(el) {
  const form = formOf(el);
  return form ? [...form.elements] : all(el, FIELDS);
}

/** The controls of a page. */
export class Controls {
  #edits = new Edits();
  /** @type {WeakMap<Element, boolean>} what the server last said of a fold: whether it is open */
  #open = new WeakMap();
  /** @type {() => void} puts the caret back where it was */
  #caret = () => {};

  /** @param {Element} root - that has all that is morphed */
  start(root) {
    root.addEventListener('input', ({ target }) => {
      if (target instanceof Element && target.matches(FIELDS)) this.#edits.edit(/** @type {Field} */ (target));
    });
    root.addEventListener('reset', ({ target }) => this.#edits.forget(together(/** @type {Element} */ (target))));
    addEventListener('pageshow', () => this.#edits.restored(all(root, FIELDS)));
  }

  /** A swap begins. */
  hold() {
    this.#edits.hold();
    const el = /** @type {HTMLInputElement | null} */ (document.activeElement);
    const { selectionStart, selectionEnd, selectionDirection } = el ?? {};
    this.#caret = () => {
      if (typeof selectionStart !== 'number' || document.activeElement !== el) return;
      if (el?.selectionStart !== selectionStart || el.selectionEnd !== selectionEnd) {
        el?.setSelectionRange(selectionStart, selectionEnd ?? null, selectionDirection ?? undefined);
      }
    };
  }

  /** @param {Element} target - has been swapped */
  settle(target) {
    this.#edits.settle(all(target, FIELDS));
    this.#caret();
  }

  /**
   * What is new on the page.
   * @param {Element} root
   */
  learn(root) {
    for (const fold of all(root, FOLDS)) {
      if (!this.#open.has(fold)) this.#open.set(fold, fold.open);
    }
  }

  /**
   * An element is to be morphed. What is open is the person's affair, until the server says
   * something else than before.
   * @param {Element} el
   * @param {Element} to
   */
  fold(el, to) {
    if (!el.matches(FOLDS)) return;
    const it = /** @type {Fold} */ (el), next = /** @type {Fold} */ (to);
    const { open } = next;
    if (open !== this.#open.get(it) && open !== it.open) {
      if (it instanceof HTMLDetailsElement) it.open = open;
      else if (open) it.show();
      else it.close(); // which ends a modal one as well
    }
    this.#open.set(it, open);
    next.open = it.open;
  }

  /**
   * @param {string} op
   * @param {Element} sender - the form, or the control, that a click comes from
   */
  send(op, sender) {
    this.#edits.send(op, together(sender));
  }

  /**
   * @param {string} op
   * @param {boolean} counted
   */
  answer(op, counted) {
    this.#edits.answer(op, counted);
  }
}
