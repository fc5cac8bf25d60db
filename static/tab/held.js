// held.js decides when a tab that renders itself shows a state. Such a tab adds the clicks that
// have no answer yet to the state, and the answer comes behind the state that has the click: shown
// at once, the click would count twice for a moment.

import { HOLD_TIMEOUT } from '../constants.js';

/** How long, in ms, further answers may take after the first: a state may have several. */
export const TOGETHER = 30;

/**
 * @typedef {import('./outbox.js').Click} Click
 *
 * @typedef {{ topic: string, state: string, until: number }} Held
 * @typedef {{ message: Click, until: number }} Counted
 */

/** The states of a page's topics: those shown, and newer ones that wait. */
export class HeldStates {
  #now;
  /** @type {Map<string, string>} by topic */
  #shown = new Map();
  /** @type {Held[]} in their order, which is that of until as well */
  #held = [];
  /** @type {Counted[]} clicks that are in held states, and are rendered as waiting until then */
  #counted = [];
  /** @type {Set<string>} ops sent on a connection that has ended: any state may have them */
  #doubtful = new Set();

  /** @param {() => number} now - in milliseconds */
  constructor(now) {
    this.#now = now;
  }

  topics() {
    return [...this.#shown.keys()];
  }

  /**
   * The state of a topic that is shown.
   * @param {string} topic
   */
  of(topic) {
    return this.#shown.get(topic);
  }

  /** The clicks that have been counted, in a state that is not shown yet. */
  counted() {
    return this.#counted.map(({ message }) => message);
  }

  /** How long until ripen has something to do, in milliseconds; null: it has not. */
  get due() {
    return this.#held.length ? Math.max(0, this.#held[0].until - this.#now()) : null;
  }

  /**
   * Shows a state at once.
   * @param {string} topic
   * @param {string} state
   */
  begin(topic, state) {
    this.#shown.set(topic, state);
  }

  /**
   * Holds a newer state.
   * @param {string} topic
   * @param {string} state
   */
  hear(topic, state) {
    this.#held.push({ topic, state, until: this.#now() + HOLD_TIMEOUT });
  }

  /**
   * These ops have been sent again on a new connection, and may have been counted before.
   * @param {string[]} ops
   */
  doubt(ops) {
    for (const op of ops) this.#doubtful.add(op);
  }

  /**
   * These clicks have been counted. A state that was held for them need not wait much longer,
   * unless there are clicks that any state may have.
   * @param {Click[]} clicks
   * @param {Set<string>} waiting - the ops that have no answer yet
   */
  answer(clicks, waiting) {
    for (const op of this.#doubtful) if (!waiting.has(op)) this.#doubtful.delete(op);
    const soon = this.#now() + TOGETHER;
    if (!this.#doubtful.size) {
      for (const it of [...this.#held, ...this.#counted]) it.until = Math.min(it.until, soon);
    }
    const last = this.#held.at(-1);
    if (last) this.#counted.push(...clicks.map((message) => ({ message, until: last.until })));
  }

  /**
   * Shows the states that need not wait any more, and lets go of the clicks that are in them.
   * @param {boolean} all - whatever is held: no click waits
   * @returns {boolean} whether a state was shown
   */
  ripen(all) {
    const time = all ? Infinity : this.#now();
    const ripe = this.#held.filter(({ until }) => until <= time);
    this.#held = this.#held.filter(({ until }) => until > time);
    this.#counted = this.#counted.filter(({ until }) => until > time);
    for (const { topic, state } of ripe) this.#shown.set(topic, state);
    return ripe.length > 0;
  }
}
