import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Paints } from './paints.js';

function setUp() {
  /** @type {(() => void)[]} */
  const frames = [];
  const page = { time: 0, hidden: false, sent: /** @type {object[]} */ ([]) };
  const paints = new Paints({
    now: () => page.time, hidden: () => page.hidden,
    frame: (job) => frames.push(job), send: (cast) => page.sent.push(cast),
  });
  const paint = (/** @type {number} */ after) => {
    page.time += after;
    for (const job of frames.splice(0)) job();
  };
  return { page, paints, paint };
}

test('a tab says what it has painted when it was asked, and when the frame is done', () => {
  const { page, paints, paint } = setUp();
  paints.shown('a', [1, 2]);
  paint(16);
  assert.deepEqual(page.sent, []);
  paints.ask(1);
  paints.shown('a', [1, 3]);
  assert.deepEqual(page.sent, []);
  paint(16);
  assert.deepEqual(page.sent, [{ cast: '_painted', t: 'a', in: { e: 1, v: 3 } }]);
});

test('it says so of each topic once in a while, and not when nobody sees it', () => {
  const { page, paints, paint } = setUp();
  paints.ask(1);
  for (let v = 1; v <= 30; v++) {
    paints.shown('a', [1, v]);
    paints.shown('b', [1, v]);
    paint(100);
  }
  assert.equal(page.sent.length, 6);
  page.time += 5000;
  page.hidden = true;
  paints.shown('a', [1, 31]);
  page.hidden = false;
  paints.shown('b', [1, 31]);
  paint(60000); // the page was hidden meanwhile
  assert.equal(page.sent.length, 6);
  paints.ask(0);
  paints.shown('a', [1, 32]);
  paint(16);
  assert.equal(page.sent.length, 6);
});
