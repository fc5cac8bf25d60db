// held.js decides what a tab shows that renders itself: a state, and over it those of its own ops
// that are not in it. No op is shown twice, and none is missing, whatever is late.
//
// An answer comes with or behind a state that has the op: of an op that has its answer it is known
// that the newest state has it, and mostly which was the first that did. One that was sent before a
// state came, and has no answer, may be in that state or not. Such a state waits until the answers
// are there, and the one before it, with all ops that have come since, is shown instead.
//
// Two states wait at most: the first that came, whose answers are on their way, and the newest,
// which follows it. Were it the newest alone, then each click of a person who goes on clicking
// would make it wait for one answer more.

import { ANSWER_TIMEOUT } from '../constants.js';

/**
 * @import { At } from './message.js'
 * @import { Op } from './outbox.js'
 *
 * @typedef {object} Held
 * @property {At} at
 * @property {string} state
 * @property {number} since - when it, or one in whose place it is, came
 * @property {Set<Op>} doubtful - ops that may be in it
 *
 * @typedef {object} Room
 * @property {string} [shown]
 * @property {At} [shownAt]
 * @property {Held} [next] - newer, and waits
 * @property {Held} [newest] - newer than that, and waits
 * @property {{ op: Op, at: At }[]} counted - ops that have their answer, and are not in the state
 *   that is shown; at is the first that has them
 */

/** @type {(a: At, b: At) => boolean} whether a state is newer than another */
const isNewer = (a, b) => a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);

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
    const counted = (this.#rooms.get(topic)?.counted ?? []).map(({ op }) => op);
    return [...counted, ...waiting.filter((op) => !op.adopted || !op.entry.sent)];
  }

  /** How long until ripen shows what waits in any case, in milliseconds; null: nothing waits. */
  get due() {
    const since = [...this.#rooms.values()].flatMap(({ next }) => next?.since ?? []);
    return since.length ? Math.max(0, Math.min(...since) + ANSWER_TIMEOUT - this.#now()) : null;
  }

  /**
   * A newer state has come.
   * @param {string} topic
   * @param {At} at
   * @param {string} state
   * @param {Op[]} waiting - the ops of the topic that have no answer
   */
  hear(topic, at, state, waiting) {
    const room = this.#rooms.get(topic) ?? { counted: [] };
    this.#rooms.set(topic, room);
    const doubtful = new Set(waiting.filter((op) => op.flying !== null && !op.adopted));
    const held = { at, state, since: this.#now(), doubtful };
    if (!room.next) room.next = held;
    else room.newest = held;
  }

  /**
   * An op has its answer, or was put off: then it is in no state.
   * @param {Op} op
   * @param {boolean} counted
   * @param {At} [at] - the state that has it first, if that is known
   */
  answer(op, counted, at) {
    const room = this.#rooms.get(op.entry.topic);
    if (!room) return;
    if (counted && !at && room.next?.doubtful.has(op)) this.#skip(room);
    for (const held of [room.next, room.newest]) held?.doubtful.delete(op);
    const first = at ?? (room.newest ?? room.next)?.at;
    if (!counted || op.adopted || !first) return;
    if (!room.shownAt || isNewer(first, room.shownAt)) room.counted.push({ op, at: first });
  }

  /**
   * Gives up the first of two states: nobody knows whether it has an op that the second has.
   * @param {Room} room
   */
  #skip(room) {
    const { next, newest } = room;
    if (next && newest) Object.assign(room, { next: { ...newest, since: next.since }, newest: undefined });
  }

  /**
   * Shows the newest states that need not wait any more. One that waits for an answer that does not
   * come is shown after a while.
   * @returns {boolean} whether there are such
   */
  ripen() {
    const late = this.#now() - ANSWER_TIMEOUT;
    let any = false;
    for (const room of this.#rooms.values()) {
      if (room.next && room.next.since <= late) {
        this.#skip(room);
        room.next.doubtful.clear();
      }
      for (; room.next && !room.next.doubtful.size; any = true) this.#show(room, room.next);
    }
    return any;
  }

  /**
   * @param {Room} room
   * @param {Held} held - its next state
   */
  #show(room, { at: shownAt, state }) {
    const counted = room.counted.filter(({ at }) => isNewer(at, shownAt));
    Object.assign(room, { shown: state, shownAt, next: room.newest, newest: undefined, counted });
  }
}
