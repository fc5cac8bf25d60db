// world.js is a browser with several pages, and a server, for the tests: time is made up, and so is
// all that fails.

import { ORPHAN_AGE } from '../../constants.js';
import { changes } from '../journal.js';
import { Post } from '../post.js';

/**
 * @import { Answer } from '../message.js'
 * @import { Entry, Op } from '../outbox.js'
 *
 * @typedef {{ op: [string, number, number], seen: number, age?: number, t: string, grant?: string,
 *   do: string, in: Record<string, unknown>, fin?: undefined }} OpMessage
 * @typedef {{ fin: [string, number], t: string, grant?: string, op?: undefined }} FinMessage
 * @typedef {OpMessage | FinMessage} Sent
 *
 * What timers belong to: a page, or a transaction of one, which needs the page if it changes
 * something.
 * @typedef {{ dead: boolean, needsPage?: boolean }} Owner
 *
 * @typedef {{ due: number, job: () => void, page: Owner | null }} Timer
 */

const KEY = (/** @type {Entry} */ { client, topic, seq }) => JSON.stringify([client, topic, seq]);

/** What all pages share: time, the database, the locks. */
export class Browser {
  time = 0; // since it was started
  wall = 1e12; // since 1970
  clock = 2e12; // of the server
  /** @type {Map<string, Entry>} */
  stored = new Map();
  /** @type {Entry[]} what pages had on their way when they were left */
  left = [];
  /** @type {string[]} what was written, in order */
  log = [];
  broken = false; // the database can't be written
  blind = false; // nor read
  slow = 0; // ms that a transaction takes
  /** @type {Timer[]} */
  timers = [];
  /** @type {Map<string, { holder: Page | null, queue: { page: Page, granted: () => void }[] }>} */
  locks = new Map();
  pages = 0;

  /**
   * @param {Owner | null} page
   * @param {() => void} job
   * @param {number} ms
   */
  later(page, job, ms) {
    const timer = { due: this.time + ms, job, page };
    this.timers.push(timer);
    return /** @type {any} */ (timer);
  }

  /** @param {unknown} timer */
  cancel(timer) {
    this.timers = this.timers.filter((it) => it !== timer);
  }

  /** Lets time pass, and has all done that is due. */
  async pass(ms = 0) {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const next = this.timers.filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (!next) break;
      this.#move(Math.max(0, next.due - this.time));
      this.timers.splice(this.timers.indexOf(next), 1);
      if (!next.page?.dead) next.job();
    }
    this.#move(end - this.time);
    await settle();
  }

  /** @param {number} ms */
  #move(ms) {
    this.time += ms;
    this.wall += ms;
    this.clock += ms;
  }

  /**
   * @param {string} name
   * @param {Page} page
   * @param {() => void} granted
   */
  lock(name, page, granted) {
    const lock = this.locks.get(name) ?? { holder: null, queue: [] };
    this.locks.set(name, lock);
    lock.queue.push({ page, granted });
    this.#grant(lock);
  }

  /** @param {{ holder: Page | null, queue: { page: Page, granted: () => void }[] }} lock */
  #grant(lock) {
    if (lock.holder) return;
    const next = lock.queue.shift();
    if (!next) return;
    lock.holder = next.page;
    Promise.resolve().then(() => next.page.dead || next.granted());
  }

  /**
   * @param {Page} page
   * @param {(name: string) => boolean} which
   */
  unlock(page, which) {
    for (const [name, lock] of this.locks) {
      if (!which(name)) continue;
      lock.queue = lock.queue.filter((it) => it.page !== page);
      if (lock.holder !== page) continue;
      lock.holder = null;
      this.#grant(lock);
    }
  }
}

/** Lets all promises go on that can. */
async function settle() {
  for (let i = 0; i < 3; i++) await new Promise((done) => setImmediate(done));
}

/** One load of a page, with what it has sent and what it was told. */
export class Page {
  dead = false;
  open = false;
  connection = 0; // counts them
  /** @type {Sent[]} on any connection, since it was last taken */
  sent = [];
  /** @type {(message: Sent) => void} what the server does */
  server = () => {};
  /** @type {Op[]} */
  adopted = [];
  /** @type {[op: Op, answer: Answer | null][]} */
  answered = [];
  /** @type {string[]} */
  reasons = [];
  lost = 0;
  others = 0; // how often it was told of some
  heard = 0; // the server's clock, when the connection began
  /** @type {Set<Owner>} under way */
  transactions = new Set();

  /**
   * @param {Browser} browser
   * @param {{ user?: string, grants?: Record<string, string>, locks?: boolean }} [how]
   */
  constructor(browser, { user = 'ann', grants = { a: 'grant of a' }, locks = true } = {}) {
    this.browser = browser;
    this.client = `client${++browser.pages}`;
    if (locks) browser.lock(this.client, this, () => {});
    this.post = new Post({
      client: this.client, user, grants,
      now: () => browser.time,
      date: () => browser.wall,
      later: (job, ms) => browser.later(this, job, ms),
      cancel: (timer) => browser.cancel(timer),
      random: () => 0.5,
      store: {
        write: (jobs) => this.#write(jobs),
        leave: (entries) => browser.left.push(...structuredClone(entries)),
        read: () => this.#read(),
      },
      claims: locks ? {
        adopt: (client, granted) => browser.lock(client, this, granted),
        release: (client) => browser.unlock(this, (name) => name === client),
      } : {
        adopt: (_, granted) => browser.later(this, granted, ORPHAN_AGE),
        release: () => {},
      },
    }, {
      send: (message) => this.#send(/** @type {Sent} */ (message)),
      changed: () => {},
      adopted: (op) => this.adopted.push(op),
      answered: (op, answer) => this.answered.push([op, answer]),
      refused: (_, reason) => this.reasons.push(reason),
      lost: (n) => (this.lost += n),
      others: () => this.others++,
    });
  }

  /** @param {import('../journal.js').Job[]} jobs */
  async #write(jobs) {
    const { browser } = this;
    const copies = jobs.map(({ op: { entry, durable }, put }) => ({ entry: structuredClone(entry), durable, put }));
    await this.#wait(jobs.some(changes));
    if (browser.broken) throw new Error('QuotaExceededError');
    for (const { entry, durable, put } of copies) {
      if (!put) browser.stored.delete(KEY(entry));
      else if (!durable || browser.stored.has(KEY(entry))) browser.stored.set(KEY(entry), entry);
      browser.log.push(`${put ? (durable ? '=' : '+') : '-'}${entry.seq}`);
    }
  }

  async #read() {
    await this.#wait();
    if (this.browser.blind) throw new Error('InvalidStateError');
    for (const entry of this.browser.left.splice(0)) this.browser.stored.set(KEY(entry), entry);
    return structuredClone([...this.browser.stored.values()]);
  }

  /**
   * @param {boolean} [needsPage]
   * @returns {Promise<void>} for ever, when the page is closed meanwhile and it is needed
   */
  async #wait(needsPage = true) {
    const own = { dead: this.dead, needsPage };
    this.transactions.add(own);
    await new Promise((done) => {
      this.browser.later(own, () => done(null), this.browser.slow);
    });
    this.transactions.delete(own);
  }

  /** @param {Sent} message */
  #send(message) {
    if (this.dead || !this.open) return;
    this.sent.push(structuredClone(message));
    this.server(message);
  }

  // ---- what happens to it ----

  /** A connection opens, and the server says its clock. */
  async connect() {
    this.open = true;
    this.connection++;
    this.post.opened();
    this.heard = this.browser.clock;
    this.post.hear(this.heard);
    await this.browser.pass(2 * this.browser.slow);
  }

  disconnect() {
    this.open = false;
    this.post.closed();
  }

  /** The person leaves it: what is with the database is done. */
  leave() {
    this.post.leave();
    for (const one of this.transactions) one.dead = one.needsPage ?? false;
    this.#end();
  }

  crash() {
    for (const one of this.transactions) one.dead = true;
    this.#end();
  }

  #end() {
    this.dead = true;
    this.open = false;
    this.browser.unlock(this, () => true);
  }

  /**
   * @param {string} [action]
   * @param {{ topic?: string, secret?: boolean }} [how]
   */
  click(action = 'inc', { topic = 'a', secret = false } = {}) {
    return this.post.add({ topic, do: action, in: {} }, secret);
  }

  /**
   * @param {import('../message.js').Verdict} verdict
   * @param {number} seq
   * @param {{ topic?: string, client?: string, reason?: string }} [how]
   */
  answer(verdict, seq, { topic = 'a', client = this.client, reason = '' } = {}) {
    this.post.answer({ topic, client, seq, verdict, reason });
  }

  /** What was sent since it was last taken. */
  take() {
    return this.sent.splice(0);
  }
}

/**
 * The names of ops: "client/seq/from".
 * @param {Sent[]} sent
 */
export const names = (sent) => sent.flatMap(({ op }) => (op ? op.join('/') : []));
