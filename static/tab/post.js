// post.js has the ops of a page reach a replica, whatever happens to connections and pages: it
// keeps them, sends them when there is a connection, and again until they have an answer; and it
// does the same for ops that closed pages of the same person have left. docs/protocol.md has the
// rules.

import { ANSWER_TIMEOUT, FIN_PAUSE } from '../constants.js';
import { Journal } from './journal.js';
import { Outbox } from './outbox.js';
import { Resends } from './resends.js';

/**
 * @import { Answer } from './message.js'
 * @import { Entry, Op } from './outbox.js'
 * @import { Store } from './journal.js'
 * @import { Clock } from './pace.js'
 *
 * What tells pages apart that live. With adopt a page asks for the place of another, and is called
 * once that one is closed and no third one has its place; with release it gives up place and wish.
 * Nothing rests on it but how often an op is sent.
 * @typedef {object} Claims
 * @property {(client: string, granted: () => void) => void} adopt
 * @property {(client: string) => void} release
 *
 * What the page does about what happens.
 * @typedef {object} Page
 * @property {(message: object) => void} send - there is a connection
 * @property {() => void} changed - something waits, or waits no more, or is kept otherwise
 * @property {(op: Op) => void} adopted - a closed page has left it, and this one sees to it now
 * @property {(op: Op, answer: Answer | null) => void} answered - null: another page has dealt with
 *   it
 * @property {(op: Op, reason: string) => void} refused - for now
 * @property {(n: number) => void} lost - nobody will know whether these ops were applied
 * @property {() => void} others - there are ops that this page may not send
 *
 * @typedef {Clock & import('./outbox.js').Environment & {
 *   store: Store, claims: Claims, random: () => number }} Environment
 */

/** The ops of a page on their way. */
export class Post {
  #env;
  #page;
  #outbox;
  #journal;
  #resends;
  #connection = 0; // counts them; a negative number is none
  #heard = false; // the replica has told its clock
  #ready = false; // what waited when the connection began was sent
  #sending = false;
  /** @type {Set<string> | 'all' | null} topics whose ops are to be sent; null: no round is due */
  #due = null;
  /** @type {Map<string, boolean>} clients whose place was asked for; true: this page has it */
  #places = new Map();

  /**
   * @param {Environment} env
   * @param {Page} page
   */
  constructor(env, page) {
    this.#env = env;
    this.#page = page;
    this.#outbox = new Outbox(env);
    this.#journal = new Journal(env.store, { ...env, removed: (op) => this.#removed(op), changed: page.changed });
    this.#resends = new Resends(env, env.random, (topic) => this.#want(topic));
  }

  // ---- what waits ----

  /** @param {string} [topic] */
  waiting(topic) {
    return this.#outbox.waiting(topic);
  }

  /**
   * How it is with what waits. age is how long the person has waited, in milliseconds; null:
   * nothing waits. kept is yes if all of it outlives the page, and no if something may not: what is
   * being written is neither. keepsNothing is whether the browser keeps nothing, as far as is
   * known.
   */
  get status() {
    const waiting = this.waiting(), { works } = this.#journal;
    const holds = waiting.some(({ durable, secret }) => secret || (!durable && !works));
    return {
      age: waiting.length ? this.#env.now() - Math.min(...waiting.map(({ since }) => since)) : null,
      clicks: waiting.length,
      kept: holds ? 'no' : waiting.every(({ durable }) => durable) ? 'yes' : '',
      keepsNothing: works === false,
    };
  }

  /** Finds out whether the browser keeps anything, before it is asked to. */
  begin() {
    return this.#journal.probe();
  }

  /**
   * The message of an op, as it would be sent now.
   * @param {Op} op
   */
  message(op) {
    return this.#outbox.message(op);
  }

  /**
   * Takes an op, and sends it if that can be done now.
   * @param {Pick<Entry, 'topic' | 'do' | 'in'>} what
   * @param {boolean} secret - it must not be kept
   * @returns {Op | 'full' | 'long'} why it is not taken
   */
  add(what, secret) {
    const op = this.#outbox.add(what, { secret, sends: this.#heard });
    if (typeof op === 'string') return op;
    this.#journal.put(op);
    if (this.#ready && !this.#sending && !this.#resends.waits(what.topic)) this.#send(op);
    else this.#want(null);
    return op;
  }

  /** @param {Op} op */
  #send(op) {
    op.flying = this.#env.now();
    this.#page.send(this.#outbox.message(op));
  }

  // ---- the connection ----

  /** A connection begins: nothing is sent until the replica has told its clock. */
  opened() {
    this.closed();
    this.#connection = -this.#connection + 1;
  }

  /** There is no connection. Others may have better luck with what this page has adopted. */
  closed() {
    if (this.#connection > 0) this.#connection = -this.#connection;
    this.#heard = this.#ready = false;
    this.#due = null;
    this.#resends.reset();
    for (const client of this.#places.keys()) this.#release(client);
  }

  /** @param {number} clock - of the replica */
  hear(clock) {
    this.#outbox.clock = clock;
    if (this.#heard || this.#connection <= 0) return;
    this.#heard = true;
    this.#want();
  }

  /** The page may have been asleep: others may have dealt with what it has. */
  resume() {
    this.#want();
  }

  /** Time has passed. */
  check() {
    if (!this.#ready) return;
    const late = this.#env.now() - ANSWER_TIMEOUT;
    for (const { flying, entry } of this.waiting()) {
      if (flying !== null && flying <= late && !this.#resends.waits(entry.topic)) this.#want(entry.topic);
    }
    this.#finish(FIN_PAUSE);
  }

  /** The page is left: perhaps for ever. What is not kept yet is on its way. */
  leave() {
    this.#journal.flush();
    if (this.#ready) this.#finish(0);
  }

  // ---- rounds: what is in the database is read, and what waits is sent ----

  /** @param {string | null} [topic] - whose ops are to be sent; null: none; all by default */
  #want(topic) {
    if (!this.#heard) return;
    if (topic === undefined) this.#due = 'all';
    else if (this.#due !== 'all') this.#due = new Set([...this.#due ?? [], ...topic === null ? [] : [topic]]);
    if (!this.#sending) this.#rounds();
  }

  async #rounds() {
    this.#sending = true;
    while (this.#due) {
      const topics = this.#due;
      this.#due = null;
      await this.#round(topics, this.#connection);
    }
    this.#sending = false;
  }

  /**
   * @param {Set<string> | 'all'} topics
   * @param {number} connection
   */
  async #round(topics, connection) {
    const clock = this.#outbox.clock;
    const stored = await this.#journal.read();
    if (connection !== this.#connection) return;
    this.#merge(stored, clock);
    const ops = this.#outbox.waiting().filter(({ flying, entry: { topic } }) => (
      topics === 'all' || topics.has(topic) || (flying === null && !this.#resends.waits(topic))));
    // What was never sent must not be taken for that when this page ends in the next moment.
    const first = ops.filter((op) => this.#outbox.send(op));
    for (const op of first) this.#journal.put(op);
    if (first.length) await this.#journal.settled();
    if (connection !== this.#connection) return;
    // What can't be read keeps its stamp: a replica takes it as long as it can't have forgotten
    // what others have made of it.
    for (const op of ops) if (!op.answered) this.#send(op);
    if (topics === 'all') this.#ready = true;
  }

  /**
   * @param {Entry[] | null} stored
   * @param {number} clock
   */
  #merge(stored, clock) {
    const { dropped, left, others, adopted } = (
      this.#outbox.merge(stored, clock, ({ client }) => this.#places.get(client)));
    for (const op of adopted) this.#page.adopted(op);
    for (const op of dropped) {
      this.#journal.remove(op);
      this.#settle(op, null);
    }
    if (others.length) this.#page.others();
    for (const { client } of left) this.#adopt(client);
    if (!stored) return;
    this.#finish(Infinity, left);
    for (const client of this.#places.keys()) if (!left.some((it) => it.client === client)) this.#release(client);
  }

  /** @param {string} client - has left something */
  #adopt(client) {
    if (this.#places.has(client)) return;
    this.#places.set(client, false);
    this.#env.claims.adopt(client, () => {
      this.#places.set(client, true);
      this.#want(null);
    });
  }

  /** @param {string} client */
  #release(client) {
    this.#places.delete(client);
    this.#env.claims.release(client);
  }

  /**
   * Says what needs no answers any more.
   * @param {number} pause
   * @param {Entry[]} [left]
   */
  #finish(pause, left) {
    for (const message of this.#outbox.fins(pause, left)) this.#page.send(message);
  }

  // ---- answers ----

  /** @param {Answer} answer */
  answer(answer) {
    const op = this.#outbox.find(answer);
    if (!op) return;
    if (answer.verdict !== 'retry') {
      this.#outbox.answer(op);
      this.#journal.remove(op);
      return this.#settle(op, answer);
    }
    op.flying = null;
    this.#resends.retry(answer.topic);
    this.#page.refused(op, answer.reason);
  }

  /**
   * @param {Op} op
   * @param {Answer | null} answer
   */
  #settle(op, answer) {
    this.#resends.works(op.entry.topic);
    this.#page.answered(op, answer);
    if (answer?.verdict === 'old') this.#page.lost(1);
  }

  /** @param {Op} op */
  #removed(op) {
    this.#outbox.remove(op);
    if (op.adopted) this.#want(null); // when there is nothing more, that is to be said
  }
}
