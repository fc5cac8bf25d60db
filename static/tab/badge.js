// badge.js decides what the person sees of the connection.

/** No connection for so long, in ms, before the badge says so: quick reconnects don't flicker. */
export const GRACE = 400;

/** A click unanswered for so long, in ms, is shown as waiting. */
export const WAITING = 600;

const CONNECTING = 'connecting', OFFLINE = 'offline';

/**
 * Says what the badge shows, whether clicks are shown as waiting, and in how many milliseconds that
 * changes by itself (Infinity: it does not).
 * @param {object} now
 * @param {number | null} now.downFor - how long there has been no connection; null: there is one
 * @param {number | null} now.age - how long the oldest click has waited; null: none waits
 * @param {boolean} now.hidden - nobody sees the page
 * @param {string | undefined} now.server - what it last said of itself; at first, connecting
 * @param {string | undefined} now.shown - by the badge
 */
export function look({ downFor, age, hidden, server, shown }) {
  return {
    state: state(downFor, hidden, server, shown),
    waiting: age !== null && age >= WAITING,
    due: Math.min(rest(downFor, GRACE), rest(age, WAITING)),
  };
}

/**
 * A page is connecting until a server has spoken to it. Nobody sees a hidden page, and one that
 * comes back is given its time: until then it claims neither that it is in step nor that it is not.
 * @param {number | null} downFor
 * @param {boolean} hidden
 * @param {string | undefined} server
 * @param {string | undefined} shown
 */
function state(downFor, hidden, server, shown) {
  if (downFor === null || server === CONNECTING) return server;
  if (downFor < GRACE || shown === OFFLINE) return shown;
  return hidden ? CONNECTING : OFFLINE;
}

/**
 * @param {number | null} time
 * @param {number} limit
 */
function rest(time, limit) {
  return time !== null && time < limit ? limit - time : Infinity;
}
