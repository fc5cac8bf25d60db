// place.js moves the items of a list, and keeps what they are in the middle of: the focus, what is
// typed and selected, what is scrolled, what plays.

/**
 * An element that browsers can move as it is, or not yet.
 * @typedef {Element & { moveBefore?: (el: Element, before: Element | null) => void }} Parent
 */

/**
 * Puts an item before another; null: at the end. The neighbours go around one that the person is
 * at: where a browser can't move elements, all is lost in one that is taken out, and Firefox takes
 * the focus from a text of lines that moves.
 * @param {Parent} list
 * @param {Element} el - of the list, or new
 * @param {Element | null} before
 */
export function place(list, el, before) {
  if (el === before || (el.parentNode === list && el.nextElementSibling === before)) return;
  if (el.parentNode === list && isBusy(el)) goAround(list, el, before);
  else move(list, el, before);
}

/**
 * @param {Parent} list
 * @param {Element} el
 * @param {Element | null} before
 */
function move(list, el, before) {
  if (list.moveBefore && el.parentNode === list) list.moveBefore(el, before);
  else list.insertBefore(el, before);
}

/**
 * Whether the person is at an item.
 * @param {Element} el
 */
export const isBusy = (el) => el.contains(document.activeElement) || el.querySelector(':modal') !== null;

/**
 * @param {Parent} list
 * @param {Element} el
 * @param {Element | null} before
 */
function goAround(list, el, before) {
  const isAbove = before && el.compareDocumentPosition(before) & Node.DOCUMENT_POSITION_PRECEDING;
  if (!isAbove) {
    while (el.nextElementSibling && el.nextElementSibling !== before) move(list, el.nextElementSibling, el);
    return;
  }
  const end = el.nextElementSibling;
  for (let next, one = before; one !== el; one = next) {
    next = /** @type {Element} */ (one.nextElementSibling);
    move(list, one, end);
  }
}

/**
 * What is scrolled inside of elements, which Firefox forgets when they move.
 * @param {Element[]} elements
 * @returns {() => void} puts it back
 */
export function scrolled(elements) {
  const all = elements.flatMap((el) => [...el.querySelectorAll('*')])
    .filter((el) => el.scrollTop || el.scrollLeft)
    .map(({ scrollTop, scrollLeft }, i, els) => ({ el: els[i], scrollTop, scrollLeft }));
  return () => all.forEach(({ el, ...at }) => Object.assign(el, at));
}

/**
 * The text that a person has selected, perhaps to copy it.
 * @returns {() => void} selects it again
 */
export function selected() {
  const it = getSelection();
  if (!it || it.isCollapsed) return () => {};
  const { anchorNode, anchorOffset, focusNode, focusOffset } = it;
  return () => {
    if (!anchorNode?.isConnected || !focusNode?.isConnected) return;
    if (it.anchorNode === anchorNode && it.focusNode === focusNode && it.anchorOffset === anchorOffset &&
      it.focusOffset === focusOffset) return;
    if (Math.max(anchorOffset, 0) > length(anchorNode) || focusOffset > length(focusNode)) return;
    it.setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
  };
}

/** @param {Node} node */
const length = (node) => node.nodeValue?.length ?? node.childNodes.length;

/**
 * What scrolls a list: an element around it, or the page.
 * @param {Element} list
 * @returns {Element | null}
 */
function scroller(list) {
  for (let el = list.parentElement; el && el !== document.body; el = el.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(el).overflowY)) return el;
  }
  return document.scrollingElement;
}

/**
 * The first of the items whose lower edge is below a line. They stand one below the other.
 * @param {HTMLCollection} items
 * @param {number} line
 * @returns {Element | null}
 */
function firstBelow(items, line) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].getBoundingClientRect().bottom > line) high = middle;
    else low = middle + 1;
  }
  return items[low] ?? null;
}

/**
 * Keeps what a person reads in its place, while items above it come and go. At the very top nothing
 * is kept: what is new there is to be seen. Browsers do so by themselves, but not Safari, and
 * Firefox not by items that have scrollers or animations.
 * @param {Element} list
 * @param {(item: Element) => boolean} leaves - an item moves or goes
 * @param {boolean} always - at the top too
 * @returns {() => void} puts it back
 */
export function sight(list, leaves, always) {
  const box = scroller(list);
  if (!box || (!always && !box.scrollTop)) return () => {};
  const top = box === document.scrollingElement ? 0 : Math.max(box.getBoundingClientRect().top, 0);
  if (!always && list.getBoundingClientRect().top >= top) return () => {};
  let el = firstBelow(list.children, top);
  while (el && leaves(el)) el = el.nextElementSibling;
  // All of it is above, or all that is seen of it leaves.
  const at = () => (el ? el.getBoundingClientRect().top : list.getBoundingClientRect().bottom);
  const was = at();
  return () => {
    const by = at() - was;
    if (by) box.scrollBy({ top: by, behavior: 'instant' });
  };
}
