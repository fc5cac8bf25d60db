// items.js reads what a tag <hx-list> says, and decides what becomes of the items of a list:
// docs/protocol.md has the tag.

/**
 * What a frame says of a list. put has pairs of an item and the one before it, "" being none, in
 * the order in which they are to be put there; gone those that are no more. With all the items that
 * come are all there are, in their order; with older they are entries before the first of a log.
 * With gap there may be entries between what the tab has and these.
 * @typedef {object} Change
 * @property {boolean} all
 * @property {boolean} older
 * @property {boolean} gap
 * @property {[id: string, behind: string][]} put
 * @property {string[]} gone
 *
 * What is used of an element.
 * @typedef {{ getAttribute(name: string): string | null }} Tag
 */

/**
 * @param {Tag} tag
 * @returns {Change}
 */
export function read(tag) {
  const has = (/** @type {string} */ name) => tag.getAttribute(name) !== null;
  const words = (/** @type {string} */ name) => tag.getAttribute(name)?.match(/\S+/g) ?? [];
  return {
    all: has('all'),
    older: has('older'),
    gap: has('gap') || has('missed'),
    put: words('put').map((word) => {
      const [id, behind = ''] = word.split(':');
      return [id, behind];
    }),
    gone: words('gone'),
  };
}

/**
 * Turns all that there is into a change of what is shown.
 *
 * Of a log that is only the newest part. What is shown before it stays if the first entry of it is
 * shown, too. That its number is the next one says nothing: it may be that of another entry, since
 * the store has lost data.
 * @param {string[]} shown - the ids of items, without those that wait to be confirmed
 * @param {string[]} all - the ids of all, or of the newest entries
 * @param {boolean} log
 * @returns {Pick<Change, 'put' | 'gone'>}
 */
export function replace(shown, all, log) {
  const first = shown.indexOf(all[0]);
  const kept = log && first > 0 ? shown.slice(0, first) : [];
  const stays = new Set([...kept, ...all]);
  return {
    put: all.map((id, i) => [id, all[i - 1] ?? kept.at(-1) ?? '']),
    gone: shown.filter((id) => !stays.has(id)),
  };
}
