// journal.js has ops written to the browser's database, and removed from it, in the order in which
// that is wanted. What can't be done is tried again before what comes later: a page that finds an
// op there finds all before it as well. One transaction is under way at a time, so that what comes
// meanwhile shares the next; only a page that is left does not wait for that.

import { RETRY_MAX } from '../constants.js';

/**
 * @import { Entry, Op } from './outbox.js'
 *
 * The database. write does all or nothing, and is done when a crash undoes it no more. Once it has
 * begun it needs the page no more, unless it changes an entry.
 * @typedef {object} Store
 * @property {(jobs: Job[]) => Promise<void>} write
 * @property {(entries: Entry[]) => void} leave - keeps new ones at once, for whoever reads next:
 *   the page goes away, and perhaps what it has begun to write
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
 *
 * n is its place in the order.
 * @typedef {{ op: Op, put: boolean, n: number }} Task
 */

/**
 * Whether an entry is to be changed.
 * @param {Job} job
 */
export const changes = ({ op, put }) => put && op.durable;

/** What is to be done in the database. */
export class Journal {
  #store;
  #env;
  #n = 0; // tasks so far
  /** @type {Task[]} in their order */
  #todo = [];
  /** @type {Task[]} of the transactions under way */
  #doing = [];
  /** @type {Promise<void> | null} ends when nothing is to be done, or something could not be */
  #working = null;
  #waits = false; // until the next attempt
  /**
   * Whether the database works, as far as is known: undefined while nothing is.
   * @type {boolean | undefined}
   */
  works;

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
    const op = { durable: false, entry: /** @type {Entry} */ ({ client: '', topic: '', seq: 0 }) };
    this.works = await this.#store.write([{ op, put: true }, { op, put: false }]).then(() => true, () => false);
    this.#env.changed();
  }

  /** @param {Op} op - is new, or has changed */
  put(op) {
    if (!op.secret) this.#add(op, true);
  }

  /** @param {Op} op - has its answer */
  remove(op) {
    this.#todo = this.#todo.filter((job) => job.op !== op);
    if (op.durable || this.#doing.some((job) => job.op === op)) this.#add(op, false);
    else this.#env.removed(op);
  }

  /**
   * @param {Op} op
   * @param {boolean} put
   */
  #add(op, put) {
    this.#todo.push({ op, put, n: this.#n++ });
    if (!this.#waits) this.#working ??= this.#work();
  }

  /** The page is left: what is to be done begins now, whatever is under way. */
  flush() {
    const fresh = [...this.#doing, ...this.#todo].filter(({ op, put }) => put && !op.durable);
    if (fresh.length) this.#store.leave(fresh.map(({ op }) => op.entry));
    while (this.#todo.length) this.#try();
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
    await null; // more may be wanted in this moment
    while (this.#todo.length && await this.#try());
    this.#working = null;
  }

  /** @returns {Promise<boolean>} whether it could be done */
  async #try() {
    const batch = this.#next();
    this.#doing.push(...batch);
    const done = await this.#store.write(batch).then(() => true, () => false);
    this.#doing = this.#doing.filter((task) => !batch.includes(task));
    if (done) this.#did(batch);
    else this.#again(batch);
    return done;
  }

  // What is wanted together is done together: but what changes an entry needs the page until it is
  // done, and nothing new is to be lost with it.
  #next() {
    const end = this.#todo.findIndex((task) => changes(task) !== changes(this.#todo[0]));
    return this.#todo.splice(0, end < 0 ? Infinity : end);
  }

  /** @param {Task[]} batch */
  #did(batch) {
    this.works = true;
    for (const { op, put } of batch) {
      if (put) op.durable = true;
      else this.#env.removed(op);
    }
    this.#env.changed();
  }

  /** @param {Task[]} batch */
  #again(batch) {
    const over = new Set(this.#todo.filter(({ put }) => !put).map(({ op }) => op)); // since it began
    const tasks = batch.filter(({ op, put }) => !put || !over.has(op));
    this.#todo = [...tasks, ...this.#todo].sort((a, b) => a.n - b.n);
    this.#pause();
  }

  #pause() {
    this.works = false;
    if (!this.#waits) this.#env.later(() => {
      this.#waits = false;
      if (this.#todo.length) this.#working ??= this.#work();
    }, RETRY_MAX);
    this.#waits = true;
    this.#env.changed();
  }
}
