// slots.js shares out among the tabs of a browser what it has only a few of. Web Locks would do it,
// but exist on https only.

import { SLOT_LIFETIME, STREAM_SLOTS } from '../constants.js';

/**
 * What all tabs of a browser share. Every call may throw: storage may be blocked or full.
 * @typedef {object} Store
 * @property {(key: string) => string | null} getItem
 * @property {(key: string, value: string) => void} setItem
 * @property {(key: string) => void} removeItem
 *
 * @typedef {object} Environment
 * @property {() => Store} storage - of all tabs; may throw
 * @property {() => number} date - milliseconds since 1970
 */

/**
 * The slots as one tab sees them. Two tabs that take one in the same moment may both have it: there
 * are fewer slots than there is room for.
 */
export class Slots {
  #id;
  #env;
  /** @type {string | null} the key of the one that this tab has */
  #key = null;

  /**
   * @param {string} id - of the tab
   * @param {Environment} env
   */
  constructor(id, env) {
    this.#id = id;
    this.#env = env;
  }

  /** Takes a slot, and reports whether there was one. Where storage is blocked there always is. */
  take() {
    try {
      const storage = this.#env.storage();
      for (let i = 0; i < STREAM_SLOTS; i++) {
        const key = `stream:${i}`;
        const [owner, at] = (storage.getItem(key) ?? '').split(' ');
        if (owner !== this.#id && Math.abs(this.#env.date() - Number(at)) < SLOT_LIFETIME) continue;
        this.#key = key;
        this.keep();
        return true;
      }
      return false;
    } catch {
      return true;
    }
  }

  /** Says that this tab is there still: more than once in SLOT_LIFETIME. */
  keep() {
    this.#write((storage, key) => storage.setItem(key, `${this.#id} ${this.#env.date()}`));
  }

  /** Gives the slot back. */
  free() {
    this.#write((storage, key) => storage.removeItem(key));
    this.#key = null;
  }

  /** @param {(storage: Store, key: string) => void} write */
  #write(write) {
    try {
      if (this.#key) write(this.#env.storage(), this.#key);
    } catch {
      // Blocked or full: nobody is kept from anything.
    }
  }
}
