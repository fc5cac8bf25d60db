// outbox.js knows the ops that a page has to have answered: its own, and those that pages have left
// which are closed. docs/protocol.md has the rules, and ADR 28 why they are so.
//
// An op is named by the page load that made it, its client, and by a number that counts from 1 for
// each client and topic. Nobody but that page load gives numbers, and a client is known to the
// memory of its page alone: another page sends what it finds in the outbox, as it is.

import { MAX_EVENT, MAX_OUTBOX } from '../constants.js';

/**
 * The fields of a form: one that has several values is an array.
 * @typedef {Record<string, string | string[]>} Input
 *
 * When an op was sent for the first time: in ms since 1970, by this browser and by a replica.
 * @typedef {{ date: number, clock: number }} Sending
 *
 * What is kept of an op when its page is closed.
 * @typedef {object} Entry
 * @property {string} client
 * @property {string} topic
 * @property {number} seq
 * @property {string} do
 * @property {Input} in
 * @property {string} user - who has made it
 * @property {string} [grant] - shows that a page of theirs was given the topic; "": nothing does
 *   any more, and only a page that shows the topic may send it
 * @property {number} made - ms since 1970, by this browser
 * @property {Sending} [sent] - none: it has never left the browser
 * @property {boolean} [told] - the person at the browser knows that it waits: see others.js
 *
 * An op that this page has to have answered.
 * @typedef {object} Op
 * @property {string} id - of this page's, for what belongs to it elsewhere
 * @property {Entry} entry
 * @property {boolean} adopted - another page has made it
 * @property {boolean} secret - it is not to be kept
 * @property {boolean} durable - it is in the database, or was
 * @property {boolean} answered - it is to be removed from there, and no more
 * @property {number | null} flying - when this page last sent it, by the same clock as since; null:
 *   it has not, or the replica has not taken it
 * @property {number} since - when this page got it, by a clock that begins with the page
 * @property {number} seen - the clock of a replica, as it was last heard before the op was made, or
 *   before it was last found in the database; 0: none was heard
 *
 * The ops of a client on a topic. last is the greatest seq, done that up to which no answers are
 * needed any more, and touched when the last one was made or answered.
 * @typedef {{ client: string, topic: string, grant?: string, last: number, done: number,
 *   touched: number, ops: Map<number, Op> }} Lane
 *
 * @typedef {object} Environment
 * @property {string} client - of this page: 128 random bits
 * @property {string} user
 * @property {Record<string, string>} grants - of the topics that this page shows
 * @property {() => number} now - ms since the page was loaded
 * @property {() => number} date - ms since 1970
 */

/** What the numbers of an op may grow by, in bytes. */
const NUMBERS = 64;

/** The ops of a page, in the order of each lane. */
export class Outbox {
  #env;
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  /** The clock of a replica, as it was last heard: ms since 1970. 0: none was. */
  clock = 0;

  /** @param {Environment} env */
  constructor(env) {
    this.#env = env;
  }

  /**
   * The ops that have no answer.
   * @param {string} [topic] - of this topic only
   */
  waiting(topic) {
    return [...this.#lanes.values()]
      .filter((lane) => topic === undefined || lane.topic === topic)
      .flatMap(({ ops }) => [...ops.values()].filter(({ answered }) => !answered));
  }

  /**
   * Takes an op, and gives it its number.
   * @param {Pick<Entry, 'topic' | 'do' | 'in'>} what
   * @param {{ secret: boolean, sends: boolean }} how - sends: it leaves at once
   * @returns {Op | 'full' | 'long'} why it is not taken
   */
  add(what, { secret, sends }) {
    const { client, user, grants } = this.#env;
    const lane = this.#lane({ client, ...what, grant: grants[what.topic] });
    const seq = lane.last + 1;
    if (seq - first(lane, seq) >= MAX_OUTBOX) return 'full';
    const entry = { client, seq, user, grant: lane.grant, made: this.#env.date(), ...what };
    const op = this.#put(lane, entry, { adopted: false, secret, durable: false, seen: this.clock });
    // Another page sends the grant with it.
    if (size({ ...this.message(op), grant: entry.grant }) + NUMBERS > MAX_EVENT) {
      lane.ops.delete(seq);
      return 'long';
    }
    lane.last = seq;
    if (sends) this.send(op);
    return op;
  }

  /**
   * @param {Lane} lane
   * @param {Entry} entry
   * @param {Pick<Op, 'adopted' | 'secret' | 'durable' | 'seen'>} how
   */
  #put(lane, entry, how) {
    /** @type {Op} */
    const op = { id: name(entry), entry, answered: false, flying: null, since: this.#env.now(), ...how };
    lane.ops.set(entry.seq, op);
    lane.touched = op.since;
    return op;
  }

  /** @param {Pick<Entry, 'client' | 'topic' | 'grant'>} of */
  #lane({ client, topic, grant }) {
    const key = `${client} ${topic}`;
    const lane = this.#lanes.get(key) ?? { client, topic, grant, last: 0, done: 0, touched: 0, ops: new Map() };
    this.#lanes.set(key, lane);
    return lane;
  }

  /**
   * An op is about to be sent: from now on it may have been applied.
   * @param {Op} op
   * @returns {boolean} whether that is new: it is to be kept before the op leaves
   */
  send(op) {
    if (op.entry.sent) return false;
    op.entry.sent = { date: this.#env.date(), clock: this.clock };
    return true;
  }

  /**
   * What is sent for an op. It is made anew at each time.
   * @param {Op} op
   */
  message({ seen, entry }) {
    const { client, topic, grant, seq, sent, do: action, in: input } = entry;
    const age = sent ? Math.max(this.#env.date() - sent.date, this.clock - sent.clock, 0) : 0;
    return {
      op: [client, seq, first(this.#lanes.get(laneOf(entry)), seq)], seen, age: Math.floor(age / 1000) || undefined,
      t: topic, grant: this.#shows(topic) ? undefined : grant, do: action, in: input,
    };
  }

  /**
   * The op that has a name, if it waits.
   * @param {{ topic: string, client: string, seq: number }} of
   */
  find(of) {
    const op = this.#lanes.get(laneOf(of))?.ops.get(of.seq);
    return op?.answered ? undefined : op;
  }

  /**
   * An op has its answer. Its entry holds the lane until remove.
   * @param {Op} op
   */
  answer(op) {
    op.answered = true;
    op.flying = null;
    this.#lane(op.entry).touched = this.#env.now();
  }

  /**
   * The entry of an op is in the database no more, or never was.
   * @param {Op} op
   */
  remove(op) {
    const ops = this.#lanes.get(laneOf(op.entry))?.ops;
    if (ops?.get(op.entry.seq) === op) ops.delete(op.entry.seq);
  }

  /**
   * The database has been read. What was there and is no more, another page has dealt with.
   * @param {Entry[] | null} stored - null: it can't be read
   * @param {number} clock - as it was heard before that
   * @param {(entry: Entry) => boolean | undefined} orphaned - whether its page is closed
   * @returns {{ dropped: Op[], left: Entry[], others: Entry[], adopted: Op[] }} what was dropped,
   *   what other pages have there that this one may send, what it may not, and what it sends from
   *   now on
   */
  merge(stored, clock, orphaned) {
    const found = new Map((stored ?? []).map((entry) => [name(entry), entry]));
    const ours = [...this.#lanes.values()].flatMap(({ ops }) => [...ops.values()]);
    const dropped = ours.filter((op) => stored && op.durable && !op.answered && !found.has(name(op.entry)));
    for (const op of dropped) this.remove(op);
    for (const op of ours) if (stored || !op.durable) op.seen = Math.max(op.seen, clock);
    const all = [...found.values()].filter((entry) => this.#isLeft(entry));
    const left = all.filter((entry) => this.#isOurs(entry));
    const adopted = left.filter(orphaned).flatMap((entry) => this.#adopt(entry, clock));
    return { dropped, left, others: all.filter((entry) => !left.includes(entry)), adopted };
  }

  /**
   * @param {Entry} entry
   * @param {number} clock
   */
  #adopt(entry, clock) {
    const lane = this.#lane(entry);
    if (lane.ops.has(entry.seq)) return [];
    lane.last = Math.max(lane.last, entry.seq);
    return this.#put(lane, entry, { adopted: true, secret: false, durable: true, seen: clock });
  }

  /**
   * Another page has it, or had. Something foreign would never be answered.
   * @param {Entry} entry
   */
  #isLeft(entry) {
    const { client, topic, seq, user, do: action, in: input, grant } = entry;
    return client !== this.#env.client && Number.isSafeInteger(seq) && seq > 0 &&
      [client, topic, user, action, grant ?? ''].every((text) => typeof text === 'string') &&
      size([client, client, topic, grant, action, input]) + NUMBERS < MAX_EVENT;
  }

  /**
   * This page may send it.
   * @param {Entry} entry
   */
  #isOurs({ user, topic, grant }) {
    return user === this.#env.user && (grant !== '' || this.#shows(topic));
  }

  /**
   * Says that no answers are needed any more: in lanes of this page in which nothing has happened
   * for so long, and in those of others, if a read has found nothing of them.
   * @param {number} pause - in ms
   * @param {Entry[]} [left] - what the read has found; without it nothing is said of others' lanes
   * @returns {object[]} the messages that do
   */
  fins(pause, left) {
    return [...this.#lanes].flatMap(([key, lane]) => {
      const { client, topic, grant, last, done, touched, ops } = lane;
      const own = client === this.#env.client;
      const over = own ? this.#env.now() - touched >= pause : left?.every((entry) => laneOf(entry) !== key);
      if (ops.size || done === last || !over) return [];
      lane.done = last;
      if (!own) this.#lanes.delete(key);
      return { fin: [client, last], t: topic, grant: this.#shows(topic) ? undefined : grant };
    });
  }

  /** @param {string} topic */
  #shows(topic) {
    return Object.hasOwn(this.#env.grants, topic);
  }
}

/** @param {Pick<Entry, 'client' | 'topic'>} of */
const laneOf = ({ client, topic }) => `${client} ${topic}`;

/** @param {Entry} entry */
const name = (entry) => `${entry.seq} ${laneOf(entry)}`;

/**
 * The lowest seq whose entry may still be in the database.
 * @param {Lane | undefined} lane
 * @param {number} seq - of an op
 */
const first = (lane, seq) => Math.min(seq, ...lane?.ops.keys() ?? []);

/**
 * The length of a message, in bytes.
 * @param {object} message
 */
export const size = (message) => new TextEncoder().encode(JSON.stringify(message)).length;
