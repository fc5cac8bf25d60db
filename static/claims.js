// claims.js tells by Web Locks which pages live: each holds one that is named after its client, and
// the browser lets go of it when the page is closed or crashes.

/** @import { Claims } from './tab/post.js' */

/**
 * @param {string} name - of the application
 * @param {string} own - the client of this page
 * @returns {Claims | null} null: the browser has none, or not on this page
 */
export function claims(name, own) {
  const { locks } = navigator;
  if (!locks) return null;
  /** @type {Map<string, () => void>} lets go of a claim, or of the wish for it */
  const held = new Map();
  locks.request(`${name} ${own}`, () => new Promise(() => {})).catch(() => {});
  return {
    adopt(client, granted) {
      const stop = new AbortController();
      held.set(client, () => stop.abort());
      locks.request(`${name} ${client}`, { signal: stop.signal }, () => new Promise((done) => {
        held.set(client, () => done(undefined));
        granted();
      })).catch(() => {}); // it is wanted no more
    },
    release(client) {
      const all = client === undefined ? [...held.keys()] : [client];
      for (const one of all) {
        held.get(one)?.();
        held.delete(one);
      }
    },
  };
}
