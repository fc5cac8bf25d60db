// outbox.js keeps clicks until they are answered, across lost connections and reloads.

import { MAX_OUTBOX } from '../constants.js';

/**
 * What is sent to a replica.
 * @typedef {{ op: string, [field: string]: unknown }} Click
 *
 * A click that waits: since when this page has it, by a clock that stops while the computer sleeps,
 * and when it was made, by one that may be set.
 * @typedef {{ message: Click, since: number, made: number }} Kept
 *
 * Where clicks outlive the page. Every call may throw: storage may be blocked or full.
 * @typedef {object} Store
 * @property {(key: string) => string | null} getItem
 * @property {(key: string, value: string) => void} setItem
 * @property {(key: string) => void} removeItem
 *
 * @typedef {object} Environment
 * @property {() => Store} storage - may throw too
 * @property {() => number} now - milliseconds since the page was loaded
 * @property {() => number} date - milliseconds since 1970
 * @property {() => string} newId - 128 random bits for the id of an op
 */

/** The clicks of this tab that no replica has answered, in their order. */
export class Outbox {
  #key;
  #env;
  /** @type {Map<string, Kept>} */
  #kept;

  /**
   * Takes over what an earlier page of this tab has left.
   * @param {string} key - in the storage
   * @param {Environment} env
   */
  constructor(key, env) {
    this.#key = key;
    this.#env = env;
    this.#kept = this.#load();
  }

  get size() {
    return this.#kept.size;
  }

  /** How long the oldest click has waited in this page, in milliseconds; null if none waits. */
  get age() {
    const [oldest] = this.#kept.values();
    return oldest ? this.#env.now() - oldest.since : null;
  }

  /** @param {string | undefined} op */
  has(op) {
    return op !== undefined && this.#kept.has(op);
  }

  /** The clicks that wait, as they were first sent. */
  clicks() {
    return [...this.#kept.values()].map(({ message }) => message);
  }

  /**
   * Gives a click an id and keeps it.
   * @param {Record<string, unknown>} values - fields of a form; names with "_" are for the form
   *   without JavaScript
   * @returns {Click | null} null if there is no room
   */
  add(values) {
    if (this.#kept.size >= MAX_OUTBOX) return null;
    const fields = Object.entries(values).filter(([name]) => !name.startsWith('_'));
    const message = { ...Object.fromEntries(fields), op: this.#env.newId() };
    this.#kept.set(message.op, { message, since: this.#env.now(), made: this.#env.date() });
    this.#save();
    return message;
  }

  /**
   * Forgets the ops that have been counted, and returns those clicks of them that waited.
   * @param {string[]} ops
   */
  settle(ops) {
    const counted = ops.flatMap((op) => this.#kept.get(op)?.message ?? []);
    this.remove(...ops);
    return counted;
  }

  /** @param {(string | undefined)[]} ops */
  remove(...ops) {
    for (const op of ops) if (op !== undefined) this.#kept.delete(op);
    this.#save();
  }

  /**
   * The clicks to be sent again, in their order, each with its age in seconds: a replica refuses
   * what it may have counted and forgotten.
   * @param {(op: string) => boolean} [wanted] - all by default
   */
  again(wanted = () => true) {
    return [...this.#kept.values()]
      .filter(({ message }) => wanted(message.op))
      .map(({ message, since, made }) => ({ ...message, age: this.#seconds(since, made) }));
  }

  /**
   * @param {number} since
   * @param {number} made
   */
  #seconds(since, made) {
    return Math.floor(Math.max(this.#env.now() - since, this.#env.date() - made) / 1000);
  }

  /** @returns {Map<string, Kept>} */
  #load() {
    try {
      /** @type {Kept[]} */
      const all = JSON.parse(this.#env.storage().getItem(this.#key) ?? '[]') ?? [];
      const ours = all.filter((kept) => typeof kept?.message?.op === 'string');
      return new Map(ours.map((kept) => [kept.message.op, { ...kept, since: this.#env.now() }]));
    } catch {
      return new Map(); // storage is blocked, or holds something foreign
    }
  }

  #save() {
    try {
      const all = [...this.#kept.values()].map(({ message, made }) => ({ message, made }));
      if (all.length) this.#env.storage().setItem(this.#key, JSON.stringify(all));
      else this.#env.storage().removeItem(this.#key);
    } catch {
      // Blocked or full: the clicks live as long as the page.
    }
  }
}
