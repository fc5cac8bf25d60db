// claims.js tells which pages live: each holds a Web Lock that is named after its client, and the
// browser lets go of it when the page is closed or crashes. Where there are no Web Locks, which is
// so on pages without https, a page gets the place of any other after a while.

import { ORPHAN_AGE } from './constants.js';

/** @import { Claims } from './tab/post.js' */

/**
 * @param {string} name - of the application
 * @param {string} own - the client of this page
 * @returns {Claims}
 */
export function claims(name, own) {
  /** @type {LockManager | undefined} */
  const locks = navigator.locks;
  /** @type {Map<string, () => void>} lets go of a place, or of the wish for it */
  const held = new Map();
  locks?.request(`${name} ${own}`, () => new Promise(() => {}));
  return {
    adopt(client, granted) {
      if (!locks) {
        const timer = setTimeout(granted, ORPHAN_AGE);
        return held.set(client, () => clearTimeout(timer));
      }
      const stop = new AbortController();
      held.set(client, () => stop.abort());
      locks.request(`${name} ${client}`, { signal: stop.signal }, () => new Promise((done) => {
        held.set(client, () => done(null));
        granted();
      })).catch(() => {}); // it is wanted no more
    },
    release(client) {
      held.get(client)?.();
      held.delete(client);
    },
  };
}
