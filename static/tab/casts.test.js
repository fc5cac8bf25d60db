import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CAST_PAUSE } from '../constants.js';
import { Casts } from './casts.js';
import { Browser } from './testing/world.js';

function setUp() {
  const browser = new Browser();
  /** @type {import('./casts.js').Cast[]} */
  const sent = [];
  const clock = {
    now: () => browser.time,
    later: (/** @type {() => void} */ job, /** @type {number} */ ms) => browser.later(null, job, ms),
    cancel: (/** @type {unknown} */ timer) => browser.cancel(timer),
  };
  return { browser, sent, casts: new Casts(clock, (cast) => sent.push(cast)) };
}

test('of many casts the newest is sent, once in a while', async () => {
  const { browser, sent, casts } = setUp();
  for (let i = 1; i <= 50; i++) {
    casts.add({ cast: 'typing', t: 'a', in: { text: String(i) } });
    await browser.pass(10);
  }
  await browser.pass(CAST_PAUSE);
  assert.ok(sent.length <= 50 * 10 / CAST_PAUSE + 1, `${sent.length} were sent`);
  assert.deepEqual(sent.at(-1), { cast: 'typing', t: 'a', in: { text: '50' } });
  await browser.pass(10 * CAST_PAUSE);
  assert.equal(sent.filter(({ in: { text } }) => text === '50').length, 1);
});

test('casts of other names and topics do not take each other\'s place', async () => {
  const { browser, sent, casts } = setUp();
  for (const t of ['a', 'b']) for (const cast of ['x', 'y']) casts.add({ cast, t, in: {} });
  await browser.pass();
  assert.deepEqual(sent.map(({ t, cast }) => t + cast), ['ax', 'ay', 'bx', 'by']);
});
