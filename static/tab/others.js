// others.js decides what becomes of ops in the outbox that a page may not send.

import { ORPHAN_AGE, STRANGER_AGE } from '../constants.js';

/**
 * @import { Entry } from './outbox.js'
 *
 * former is what the server called this person before it forgot their session, shows is which
 * topics the page has, date the time in ms since 1970, and lives which clients have an open page;
 * undefined: this browser can't tell.
 * @typedef {{
 *   user: string, former?: string, shows: string[], date: number, lives?: string[],
 * }} Here
 */

/**
 * Sorts what is in the outbox.
 *
 * What is this person's by the name that they had before becomes theirs, but what was granted to
 * that session is not granted any more. Of what waits for a page that is not this one, or for
 * somebody else, the person is told, once. After that it is kept for the case that the page or the
 * session comes back, until nobody would know any more whether it was applied.
 * @param {Entry[]} entries
 * @param {Here} here
 * @returns {{ mended: Entry[], strange: Entry[], over: Entry[] }} what is to be kept as it is here,
 *   what the person is to be told of, and what is to be removed
 */
export function sort(entries, here) {
  const { user, former, shows, date } = here;
  const others = entries.filter((entry) => isWhole(entry) && (
    entry.user === user ? entry.grant === '' && !shows.includes(entry.topic) : entry.user !== former));
  return {
    mended: entries.filter((entry) => entry.user === former).map((entry) => ({ ...entry, user, grant: '' })),
    strange: others.filter((entry) => !entry.told && isLeft(entry, here)),
    over: others.filter(({ told, made }) => told && date - made > STRANGER_AGE),
  };
}

/**
 * Whether it may be an op of somebody: what is foreign is left alone.
 * @param {Entry} entry
 */
const isWhole = ({ client, topic, user, do: action }) => (
  [client, topic, user, action].every((text) => typeof text === 'string'));

/**
 * Whether the page is closed that has made it.
 * @param {Entry} entry
 * @param {Here} here
 */
const isLeft = ({ client, made }, { lives, date }) => (lives ? !lives.includes(client) : date - made > ORPHAN_AGE);
