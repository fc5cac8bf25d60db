// A browser and a server in which much goes wrong, by chance: every op is applied once or refused,
// and a person is told the truth.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Browser, Page } from './testing/world.js';

/** @import { OpMessage, Sent } from './testing/world.js' */

const FRESH = 120_000; // ms that a stamp is good for
const DONE = 600_000; // ms that a lane is kept after a fin

/** @typedef {{ last: number, from: number, refused: Set<number>, expires: number }} Lane */

/** The server's half of the rules: docs/protocol.md. */
class Server {
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  /** @type {Map<string, number>} how often each op was applied */
  applied = new Map();
  /** @type {string[]} in their order */
  order = [];

  /**
   * @param {Browser} browser
   * @param {() => number} random
   */
  constructor(browser, random) {
    this.browser = browser;
    this.random = random;
  }

  /** @param {Sent} message @returns {import('./message.js').Verdict | null} */
  take(message) {
    return message.op ? this.#judge(message) : this.#mark(message.fin, message.t);
  }

  /**
   * @param {[string, number]} fin
   * @param {string} topic
   */
  #mark([client, upto], topic) {
    const lane = this.#lanes.get(`${client} ${topic}`);
    if (lane && lane.last <= upto) lane.expires = this.browser.clock + DONE;
    return null;
  }

  /** @param {OpMessage} message @returns {import('./message.js').Verdict} */
  #judge({ op: [client, seq, from], seen, t }) {
    const key = `${client} ${t}`, now = this.browser.clock;
    let lane = this.#lanes.get(key);
    if (lane && lane.expires < now) {
      this.#lanes.delete(key);
      lane = undefined;
    }
    if (lane && seq <= lane.last) {
      if (seq < lane.from) return 'settled';
      return lane.refused.has(seq) ? 'refused' : 'ack';
    }
    if (now - seen > FRESH || (seq !== from && seq !== (lane?.last ?? NaN) + 1)) return 'retry';
    const next = lane ?? { last: 0, from: 0, refused: new Set(), expires: Infinity };
    Object.assign(next, { last: seq, from: Math.max(next.from, from), expires: Infinity });
    this.#lanes.set(key, next);
    if (this.random() < 0.2) {
      next.refused.add(seq);
      return 'refused';
    }
    this.applied.set(`${key} ${seq}`, (this.applied.get(`${key} ${seq}`) ?? 0) + 1);
    this.order.push(`${key} ${seq}`);
    return 'ack';
  }
}

/** @param {number} seed @returns {() => number} */
function randomOf(seed) {
  let s = seed;
  return () => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One run of the model. */
class Run {
  browser = new Browser();
  /** @type {Page[]} */
  pages = [];
  /** @type {Map<string, import('./message.js').Verdict>} */
  heard = new Map();
  clicks = 0;

  /** @param {number} seed @param {boolean} locks */
  constructor(seed, locks) {
    this.random = randomOf(seed);
    this.locks = locks;
    this.server = new Server(this.browser, this.random);
  }

  load() {
    const page = new Page(this.browser, { grants: { a: 'x', b: 'y' }, locks: this.locks });
    page.server = (message) => this.#carry(page, message);
    this.pages.push(page);
    return page;
  }

  /** @param {Page} page @param {Sent} message */
  #carry(page, message) {
    const { browser, random } = this;
    const connection = page.connection;
    if (random() < 0.1) return; // it is lost with its connection
    browser.later(null, () => {
      const verdict = this.server.take(message);
      if (!verdict || !message.op || random() < 0.2) return;
      const [client, seq] = message.op;
      browser.later(page, () => {
        if (page.connection !== connection || !page.open) return;
        this.#check(verdict, `${client} ${message.t} ${seq}`);
        page.answer(verdict, seq, { client, topic: message.t });
      }, random() * 500);
    }, random() ** 8 * (random() < 0.05 ? 2e6 : 500));
  }

  /** @param {import('./message.js').Verdict} verdict @param {string} name */
  #check(verdict, name) {
    if (verdict === 'retry') return;
    const before = this.heard.get(name);
    if (verdict === 'settled') return assert.ok(before, `${name} was settled, and nobody was answered`);
    assert.ok(before === undefined || before === verdict, `${name}: ${before}, then ${verdict}`);
    this.heard.set(name, verdict);
    if (verdict === 'ack') assert.equal(this.server.applied.get(name), 1, name);
    if (verdict === 'refused') assert.equal(this.server.applied.get(name), undefined, name);
  }

  async step() {
    const { browser, random, pages } = this;
    const page = pages[Math.floor(random() * pages.length)];
    const what = random();
    if (what < 0.5) {
      const op = page.click('inc', { topic: random() < 0.7 ? 'a' : 'b' });
      if (typeof op !== 'string') this.clicks++;
    } else if (what < 0.62 && page.open) page.disconnect();
    else if (what < 0.8 && !page.open) await page.connect();
    else if (what < 0.86) this.#close(page);
    else if (what < 0.9) browser.broken = !browser.broken && random() < 0.5;
    else if (what < 0.93) browser.slow = random() * 50;
    else if (what < 0.95) page.post.resume();
    else if (what < 0.98) this.#freeze(page);
    await this.#pass(random() ** 4 * (random() < 0.05 ? 2e6 : 3000));
  }

  /** @param {Page} page */
  #close(page) {
    if (this.random() < 0.5) page.leave();
    else page.crash();
    this.pages = this.pages.filter((it) => it !== page);
    this.load();
  }

  /** @param {Page} page - thaws when it connects: others may have sent what it has */
  #freeze(page) {
    page.disconnect();
    this.browser.unlock(page, () => true);
  }

  /** @param {number} ms */
  async #pass(ms) {
    await this.browser.pass(ms);
    for (const page of this.pages) page.post.check();
  }

  // Nothing fails any more.
  async calm() {
    this.browser.broken = false;
    this.browser.slow = 1;
    for (const page of this.pages) page.disconnect();
    for (const page of this.pages) await page.connect();
    for (let i = 0; i < 300 && this.#waits(); i++) {
      await this.#pass(1000);
      if (i % 20 === 19) {
        for (const page of this.pages) page.disconnect(); // a lost message ends a connection
        for (const page of this.pages) await page.connect();
      }
    }
  }

  #waits() {
    return this.browser.stored.size > 0 || this.pages.some(({ post }) => post.waiting().length);
  }

  judge() {
    assert.equal(this.#waits(), false, 'something waits for ever');
    for (const [name, n] of this.server.applied) assert.equal(n, 1, `${name} was applied twice`);
    /** @type {Map<string, number>} */
    const last = new Map();
    for (const name of this.server.order) {
      const [client, topic, seq] = name.split(' ');
      assert.ok(Number(seq) > (last.get(client + topic) ?? 0), `${name} came out of order`);
      last.set(client + topic, Number(seq));
    }
  }
}

for (const locks of [true, false]) {
  test(`whatever fails, every op is applied once and in order, ${locks ? 'with' : 'without'} locks`, async () => {
    const seeds = Number(process.env.SEEDS ?? 25), first = Number(process.env.SEED ?? 1);
    let clicks = 0;
    for (let seed = first; seed < first + seeds; seed++) {
      const run = new Run(seed, locks);
      for (let i = 0; i < 3; i++) run.load();
      try {
        for (let i = 0; i < 60; i++) await run.step();
        await run.calm();
        run.judge();
      } catch (e) {
        throw new Error(`seed ${seed}`, { cause: e });
      }
      clicks += run.clicks;
    }
    assert.ok(clicks > 10 * seeds);
  });
}
