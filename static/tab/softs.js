// softs.js knows what others have that is shown for a moment: cursors, who types. Messages may be
// lost, so what is not repeated for a while is gone.

const FORGET = 12000; // ms: replicas repeat all that there is in less than half of it

/**
 * What a replica says of one topic. gone comes before is; all: there is nothing else.
 * @template V
 * @typedef {{ n?: number, all?: boolean, is?: Record<string, V>, gone?: string[] }} Message
 */

/**
 * The values of one topic, by owner.
 * @template V
 */
export class Softs {
  #now;
  #begun = -1; // n of the message that had all
  /** @type {Map<string, { value: V, heard: number }>} */
  #all = new Map();

  /** @param {() => number} now - in milliseconds */
  constructor(now) {
    this.#now = now;
  }

  /** @returns {Map<string, V>} in the order in which the owners have come */
  get values() {
    return new Map([...this.#all].map(([owner, { value }]) => [owner, value]));
  }

  /**
   * @param {Message<V>} message
   * @returns {boolean} whether it is news
   */
  hear({ n, all, is = {}, gone = [] }) {
    if (n === undefined || (!all && n <= this.#begun)) return false; // made before all was told
    if (all) {
      this.#begun = n;
      for (const owner of this.#all.keys()) if (!Object.hasOwn(is, owner)) this.#all.delete(owner);
    }
    for (const owner of gone) this.#all.delete(owner);
    for (const [owner, value] of Object.entries(is)) this.#all.set(owner, { value, heard: this.#now() });
    return true;
  }

  /** @returns {boolean} whether something was forgotten */
  forget() {
    const before = this.#all.size;
    const late = this.#now() - FORGET;
    for (const [owner, { heard }] of this.#all) if (heard <= late) this.#all.delete(owner);
    return this.#all.size < before;
  }
}

/**
 * A number that is the same for an owner in every tab (FNV-1a).
 * @param {string} owner
 */
export function hash(owner) {
  let h = 0x811c9dc5;
  for (const c of owner) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193);
  return h >>> 0;
}
