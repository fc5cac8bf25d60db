// journal.js has ops written to the browser's database, and removed from it, in the order in which
// that is wanted. What can't be done is tried again before what comes later: a page that finds an
// op there finds all before it as well.

import { RETRY_MAX } from '../constants.js';

/**
 * @import { Entry, Op } from './outbox.js'
 *
 * The database. write does all or nothing, and is done when a crash undoes it no more.
 * @typedef {object} Store
 * @property {(jobs: Job[]) => Promise<void>} write
 * @property {() => Promise<Entry[]>} read
 *
 * @typedef {object} Environment
 * @property {(job: () => void, ms: number) => unknown} later - as setTimeout
 * @property {(op: Op) => void} removed - an op is in the database no more, or never was
 * @property {() => void} changed - an op is durable, or works is another
 *
 * An entry is to be put there, or to be removed. One that is durable was there: if it is no more,
 * another page has removed it, and it must not come back.
 * @typedef {{ op: Pick<Op, 'entry' | 'durable'>, put: boolean }} Job
 */

/** What is to be done in the database. */
export class Journal {
  #store;
  #env;
  /** @type {{ op: Op, put: boolean }[]} in their order */
  #todo = [];
  /** @type {{ op: Op, put: boolean }[]} of the transaction under way */
  #doing = [];
  /** @type {Promise<void> | null} ends when nothing is to be done, or something could not be */
  #working = null;
  #waits = false; // until the next attempt
  /** Whether the database works, as far as is known. */
  works = true;

  /**
   * @param {Store} store
   * @param {Environment} env
   */
  constructor(store, env) {
    this.#store = store;
    this.#env = env;
  }

  /** Finds out whether the database works. */
  async probe() {
    const op = { durable: false, entry: { client: '', topic: '', seq: 0, do: '', in: {}, user: '', made: 0 } };
    await this.#store.write([{ op, put: true }, { op, put: false }]).catch(() => {
      this.works = false;
      this.#env.changed();
    });
  }

  /** @param {Op} op - is new, or has changed */
  put(op) {
    if (!op.secret) this.#add({ op, put: true });
  }

  /** @param {Op} op - has its answer */
  remove(op) {
    this.#todo = this.#todo.filter((job) => job.op !== op);
    if (op.durable || this.#doing.some((job) => job.op === op)) this.#add({ op, put: false });
    else this.#env.removed(op);
  }

  /**
   * Has an entry removed that this page does nothing else with.
   * @param {Entry[]} entries
   */
  forget(entries) {
    // If that fails, the next page tries again.
    this.#store.write(entries.map((entry) => ({ op: { entry, durable: true }, put: false }))).catch(() => {});
  }

  /** @param {{ op: Op, put: boolean }} job */
  #add(job) {
    this.#todo.push(job);
    if (!this.#waits) this.#working ??= this.#work();
  }

  /** Waits until what is to be done now was tried. */
  async settled() {
    await this.#working;
  }

  /**
   * Reads all, after what is to be written.
   * @returns {Promise<Entry[] | null>} null: it can't be read
   */
  async read() {
    await this.#working;
    return this.#store.read().catch(() => null);
  }

  async #work() {
    await null; // what is wanted together is done together
    while (this.#todo.length && await this.#try());
    this.#working = null;
  }

  async #try() {
    this.#doing = this.#todo.splice(0);
    try {
      await this.#store.write(this.#doing);
    } catch {
      const over = new Set(this.#todo.filter(({ put }) => !put).map(({ op }) => op)); // since it began
      this.#todo.unshift(...this.#doing.splice(0).filter(({ op, put }) => !put || !over.has(op)));
      this.#pause();
      return false;
    }
    this.works = true;
    for (const { op, put } of this.#doing.splice(0)) {
      if (put) op.durable = true;
      else this.#env.removed(op);
    }
    this.#env.changed();
    return true;
  }

  #pause() {
    this.works = false;
    this.#waits = true;
    this.#env.later(() => {
      this.#waits = false;
      if (this.#todo.length) this.#working ??= this.#work();
    }, RETRY_MAX);
    this.#env.changed();
  }
}
