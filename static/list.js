// list.js shows lists and logs: it puts what a frame says of items into the page, each in its
// place, and leaves alone what a person is at. A page with an element that has data-list loads it
// behind live.js, before there is a connection. It is an htmx extension for the tag <hx-list>:
// docs/protocol.md.

import { isBusy, place, scrolled, selected, sight } from './place.js';
import { read, replace } from './tab/items.js';
import { watch } from './written.js';

/**
 * @import { Change } from './tab/items.js'
 *
 * What becomes of the items of one list.
 * @typedef {Change & { style: string, touched: Element[] }} Swap
 */

const LIST = '[data-list]';
const MARK = 'data-htmx-powered'; // htmx has it at what it has seen
// An entry of a log that this tab has sent, and that is not confirmed. What a tab that renders
// itself shows over a state is another matter: it comes and goes with what is rendered.
const PENDING = '.pending:not([data-waiting])';

/** @type {HtmxApi} */
let api;

/** @param {Element} [el] */
const alone = (el) => {
  const fragment = document.createDocumentFragment();
  if (el) fragment.append(el);
  return fragment;
};

/**
 * The item of a list that has an id.
 * @param {Element} list
 * @param {string} id
 * @returns {Element | null}
 */
function own(list, id) {
  const el = document.getElementById(id);
  return el?.parentNode === list ? el : null;
}

/**
 * The number of an entry; NaN: it has none.
 * @param {Element | null} [entry]
 */
const numberOf = (entry) => Number(/** @type {HTMLElement} */ (entry)?.dataset.n ?? NaN);

/**
 * Whether an item is as the server has rendered it.
 * @param {Element} old
 * @param {Element} item
 */
function isSame(old, item) {
  const marks = /** @type {[Element, Attr][]} */ (
    [...old.querySelectorAll(`[${MARK}]`)].map((el) => [el, el.getAttributeNode(MARK)]));
  for (const [el, mark] of marks) el.removeAttributeNode(mark);
  const is = old.isEqualNode(item);
  for (const [el, mark] of marks) el.setAttributeNode(mark);
  return is;
}

/**
 * Puts items into a list.
 * @param {Element} list
 * @param {ParentNode} from - has the items
 * @param {Change} change
 * @returns {Element[]} those of the list that have changed
 */
function take(list, from, change) {
  const update = new Update(list, [...from.children].filter(({ id }) => id), change);
  update.run();
  return update.touched;
}

/** One frame's items on their way into a list. */
class Update {
  #list;
  #change;
  #items;
  #log;
  /** @type {Map<string, Element>} new items, until they are put somewhere */
  #fresh = new Map();
  /** @type {Element[]} items without a place of their own: they go to the end */
  #late = [];
  /** @type {Element[]} */
  touched = [];

  /**
   * @param {Element} list
   * @param {Element[]} items - those that are new or have changed
   * @param {Change} change
   */
  constructor(list, items, change) {
    this.#list = list;
    this.#items = items;
    this.#log = list.closest('[data-stick]') !== null;
    this.#change = change.all ? { ...change, ...this.#whole() } : change;
  }

  run() {
    const { all, older, put, gone } = this.#change, list = this.#list;
    const missed = this.#hasGap();
    const leaving = new Set([...gone, ...put.map(([id]) => id)]);
    const placed = put.flatMap(([id]) => own(list, id) ?? []);
    const moving = all || placed.some(isBusy) ? [...list.children] : placed;
    const kept = [scrolled(moving), selected()];
    if (!all || this.#log) kept.push(sight(list, (el) => leaving.has(el.id), older));
    this.#remove(gone);
    for (const item of this.#items) this.#take(item);
    for (const [id, behind] of put) this.#put(id, behind);
    this.#putRest(leaving);
    for (const restore of kept) restore();
    const fresh = this.touched.filter((el) => this.#fresh.has(el.id));
    list.dispatchEvent(new CustomEvent('list:changed', { detail: { fresh, older, missed } }));
  }

  #shown() {
    return [...this.#list.children].filter((el) => !el.matches(PENDING));
  }

  // What all items that there are mean for what is shown.
  #whole() {
    return replace(this.#shown().map(({ id }) => id), this.#items.map(({ id }) => id), this.#log);
  }

  // Whether entries are missing between what was shown and what has come, or the store has lost
  // data and numbers have begun anew.
  #hasGap() {
    const { all, gap, gone } = this.#change, shown = this.#shown();
    if (!this.#log || !all || !shown.length || gone.length < shown.length) return false;
    const n = numberOf(this.#items[0]), last = numberOf(shown.at(-1));
    return n && last ? n !== last + 1 : gap;
  }

  /** @param {string[]} gone */
  #remove(gone) {
    const list = this.#list, out = new Set(gone);
    const busy = [...list.children].find((el) => out.has(el.id) && el.contains(document.activeElement));
    let heir = busy ?? null;
    while (heir && out.has(heir.id)) heir = heir.nextElementSibling;
    for (const id of gone) {
      const target = own(list, id);
      if (target) api.insertContent({ type: 'partial', target, fragment: alone(), swapSpec: { style: 'delete' } });
    }
    if (busy) rest(/** @type {HTMLElement} */ (heir ?? list));
  }

  // Whether another entry has this one's id: who writes a log may have it so, and what was said
  // before must not become something else.
  /** @param {Element} item */
  #isNamesake(item) {
    const n = numberOf(own(this.#list, item.id));
    return this.#log && !this.#change.all && n > 0 && n !== numberOf(item);
  }

  // Whether an entry is before all that are shown: this tab began behind it, or has dropped it. It
  // comes with older ones.
  /** @param {Element} item */
  #isBeforeAll(item) {
    const { all, older } = this.#change;
    return this.#log && !all && !older && numberOf(item) < numberOf(this.#shown()[0]);
  }

  /** @param {Element} item */
  #take(item) {
    const { all, older } = this.#change;
    if (this.#isNamesake(item)) item.id += `-${numberOf(item)}`;
    const old = own(this.#list, item.id), isPending = old?.matches(PENDING) ?? false;
    if (!old && this.#isBeforeAll(item)) return;
    if (old && (older || (all && !isPending && isSame(old, item)))) return;
    if (old) api.morph(old, alone(item), false);
    else this.#fresh.set(item.id, item);
    if (!old || isPending) this.#late.push(old ?? item);
    this.touched.push(old ?? item);
  }

  /**
   * @param {string} id
   * @param {string} behind
   */
  #put(id, behind) {
    const list = this.#list;
    const el = own(list, id) ?? this.#fresh.get(id), pred = behind ? own(list, behind) : null;
    if (!el || (behind && !pred)) throw new Error(`list: ${id} behind ${behind}: this tab has missed something`);
    const before = pred ? pred.nextElementSibling : list.firstElementChild;
    // Of all items it is the one before this that has gone down, not all others that have gone up.
    if (this.#change.all && el.parentNode === list && before?.nextElementSibling === el) place(list, before, null);
    else place(list, el, before);
  }

  // The last one first: an own entry that others have come before stays where it is.
  /** @param {Set<string>} placed */
  #putRest(placed) {
    const list = this.#list;
    let before = this.#change.older ? list.firstElementChild : list.querySelector(`:scope > ${PENDING}`);
    for (const el of this.#late.filter(({ id }) => !placed.has(id)).reverse()) {
      place(list, el, before);
      before = el;
    }
  }
}

/**
 * The place of what has gone with the focus in it: the next key leads on from there. It can't be
 * pressed, since the person meant what was there before.
 * @param {HTMLElement} el
 */
function rest(el) {
  if (el.tabIndex >= 0) return el.focus({ preventScroll: true });
  el.tabIndex = -1;
  el.addEventListener('blur', () => el.removeAttribute('tabindex'), { once: true });
  el.focus({ preventScroll: true });
}

const root = document.querySelector('[hx-ws\\:connect]');
if (root) /** @type {HTMLElement} */ (root).lists = true;
htmx.registerExtension('list', {
  init(offered) {
    api = offered;
  },
  htmx_process_list(tag, { ctx: { sourceElement }, tasks }) {
    const target = tag.getAttribute('hx-target'), swapSpec = { ...read(tag), style: 'list' };
    tasks.push({ type: 'partial', fragment: tag.content, target, swapSpec, sourceElement });
  },
  handle_swap(style, list, fragment, swapSpec) {
    if (style !== 'list') return false;
    const swap = /** @type {Swap} */ (swapSpec);
    swap.touched = take(list, fragment, swap);
    return swap.touched;
  },
  // A room may be morphed as a whole, in a tab that renders itself.
  htmx_before_morph_node(list, { newNode }) {
    if (!list.matches(LIST) || !newNode.matches(LIST)) return;
    take(list, newNode, { all: true, older: false, gap: false, put: [], gone: [] });
    return false;
  },
});
watch();
