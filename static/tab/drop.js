// drop.js decides where in a list something goes that is dragged.

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box */

const ACROSS = 1e6; // more than a page is long, in px

/**
 * How far a place is from a box; 0: it is in it. Below a short list people still mean that one, and
 * not the long one beside it.
 * @param {Box} box
 * @param {number} x
 * @param {number} y
 */
const distance = ({ left, top, right, bottom }, x, y) =>
  ACROSS * Math.max(left - x, 0, x - right) + Math.max(top - y, 0, y - bottom);

/**
 * The number of the list that is nearest to a place; -1: there is none. An empty list is a box too.
 * @param {Box[]} lists
 * @param {number} x
 * @param {number} y
 */
export function nearest(lists, x, y) {
  const all = lists.map((box) => distance(box, x, y));
  return all.indexOf(Math.min(...all));
}

/**
 * The number of the item before which a place is; as many as there are: behind all.
 * @param {Box[]} items - from the top
 * @param {number} y
 */
export function before(items, y) {
  const i = items.findIndex(({ top, bottom }) => y < (top + bottom) / 2);
  return i < 0 ? items.length : i;
}

/**
 * Where the mark stands before an item.
 * @param {Box[]} items - from the top
 * @param {number} i
 * @param {Box} list
 */
export function mark(items, i, list) {
  if (!items.length) return list.top;
  const above = items[i - 1]?.bottom, below = items[i]?.top;
  if (above === undefined) return below - 4;
  return below === undefined ? above + 4 : (above + below) / 2;
}

/**
 * How much a window is to scroll, in px a frame, where something is dragged.
 * @param {number} y
 * @param {number} height - of the window
 */
export function scrolled(y, height) {
  const edge = Math.min(56, height / 8);
  if (y < edge) return (y - edge) / 4;
  return y > height - edge ? (y - height + edge) / 4 : 0;
}
