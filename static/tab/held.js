// held.js decides what a tab shows that renders itself: a state, and over it those of its own ops
// that are not in it. No op is shown twice, and none is missing, whatever is late.
//
// An answer comes with or behind a state that has the op: of an op that has its answer it is known
// that the newest state has it. One that was sent before a state came, and has no answer, may be in
// that state or not. Such a state waits until the answer is there, and the one before it, with all
// ops that have come since, is shown instead.

import { ANSWER_TIMEOUT } from '../constants.js';

/**
 * @import { Op } from './outbox.js'
 *
 * @typedef {object} Room
 * @property {string} [shown]
 * @property {string} [next] - newer, and waits
 * @property {number} since - when the first state came that waits
 * @property {Set<Op>} doubtful - ops that may be in next
 * @property {Op[]} counted - ops that are in next, and not in the state that is shown
 */

/** The states of a page's topics. */
export class HeldStates {
  #now;
  /** @type {Map<string, Room>} by topic */
  #rooms = new Map();

  /** @param {() => number} now - in milliseconds */
  constructor(now) {
    this.#now = now;
  }

  /** The topics of which a state is shown. */
  topics() {
    return [...this.#rooms].filter(([, { shown }]) => shown !== undefined).map(([topic]) => topic);
  }

  /**
   * The state of a topic that is shown.
   * @param {string} topic
   */
  of(topic) {
    return this.#rooms.get(topic)?.shown;
  }

  /**
   * The ops to be shown over that state, in their order.
   * @param {string} topic
   * @param {Op[]} waiting - those that have no answer
   */
  over(topic, waiting) {
    // What another page has sent may be in any state.
    return [...this.#rooms.get(topic)?.counted ?? [], ...waiting.filter((op) => !op.adopted || !op.entry.sent)];
  }

  /** How long until ripen shows what waits in any case, in milliseconds; null: nothing waits. */
  get due() {
    const since = [...this.#rooms.values()].flatMap((room) => (room.next === undefined ? [] : room.since));
    return since.length ? Math.max(0, Math.min(...since) + ANSWER_TIMEOUT - this.#now()) : null;
  }

  /**
   * A newer state has come.
   * @param {string} topic
   * @param {string} state
   * @param {Op[]} waiting - the ops of the topic that have no answer
   */
  hear(topic, state, waiting) {
    const room = this.#rooms.get(topic) ?? { since: 0, doubtful: new Set(), counted: [] };
    this.#rooms.set(topic, room);
    if (room.next === undefined) room.since = this.#now();
    room.next = state;
    for (const op of waiting) if (op.flying !== null && !op.adopted) room.doubtful.add(op);
  }

  /**
   * An op has its answer, or was put off: then it is in no state.
   * @param {Op} op
   * @param {boolean} counted
   */
  answer(op, counted) {
    const room = this.#rooms.get(op.entry.topic);
    room?.doubtful.delete(op);
    if (counted && room?.next !== undefined && !op.adopted) room.counted.push(op);
  }

  /**
   * Shows the newest states that need not wait any more. One that waits for an answer that does not
   * come is shown after a while.
   * @returns {boolean} whether there are such
   */
  ripen() {
    const late = this.#now() - ANSWER_TIMEOUT;
    const ripe = [...this.#rooms.values()].filter(({ next, doubtful, since }) => (
      next !== undefined && (!doubtful.size || since <= late)));
    for (const room of ripe) {
      Object.assign(room, { shown: room.next, next: undefined, counted: [] });
      room.doubtful.clear();
    }
    return ripe.length > 0;
  }
}
