import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SHORT_CONNECTION } from '../constants.js';
import { Uptime } from './uptime.js';

function setUp() {
  const clock = { time: 0 };
  return { clock, uptime: new Uptime(() => clock.time) };
}

/**
 * Connects for some time.
 * @param {ReturnType<typeof setUp>} at
 * @param {number} ms
 */
function connect({ clock, uptime }, ms) {
  uptime.opened();
  uptime.heard();
  clock.time += ms;
  uptime.closed();
}

test('a page begins without a connection', () => {
  const { clock, uptime } = setUp();
  clock.time = 300;
  assert.equal(uptime.downFor, 300);
  uptime.opened();
  assert.equal(uptime.downFor, 300, 'a socket that is open proves nothing');
  uptime.heard();
  assert.equal(uptime.downFor, null);
});

test('a connection that was in doubt is lost since then', () => {
  const { clock, uptime } = setUp();
  uptime.heard();
  clock.time = 5000;
  uptime.lost(2000);
  assert.equal(uptime.downFor, 2000);
});

test('the time without a connection counts from its first sign', () => {
  const { clock, uptime } = setUp();
  uptime.heard();
  uptime.lost();
  clock.time += 100;
  uptime.closed();
  clock.time += 100;
  uptime.closed();
  assert.equal(uptime.downFor, 200);
});

test('a page that comes back begins to wait anew', () => {
  const { clock, uptime } = setUp();
  clock.time = 5000;
  uptime.forgive();
  assert.equal(uptime.downFor, 0);
});

test('a page that comes back and is connected stays so', () => {
  const { uptime } = setUp();
  uptime.heard();
  uptime.forgive();
  assert.equal(uptime.downFor, null);
});

test('an attempt that failed is told from a connection that ended', () => {
  const { uptime } = setUp();
  assert.equal(uptime.closed(), false);
  uptime.opened();
  assert.equal(uptime.closed(), true);
  assert.equal(uptime.closed(), false);
});

test('connections that are closed at once count as attempts, but for the first two', () => {
  const { clock, uptime } = setUp();
  const attempts = [];
  for (let i = 0; i < 4; i++) {
    connect({ clock, uptime }, SHORT_CONNECTION - 1);
    attempts.push(uptime.attempt(0));
  }
  assert.deepEqual(attempts, [0, 1, 2, 3]);
});

test('a connection that lasted ends the row of short ones', () => {
  const { clock, uptime } = setUp();
  for (let i = 0; i < 4; i++) connect({ clock, uptime }, 0);
  connect({ clock, uptime }, SHORT_CONNECTION);
  assert.equal(uptime.attempt(0), 0);
});

test('an attempt that failed ends it too: hx-ws counts those itself', () => {
  const { clock, uptime } = setUp();
  for (let i = 0; i < 4; i++) connect({ clock, uptime }, 0);
  uptime.closed();
  assert.equal(uptime.attempt(1), 1);
});

test('the attempts that hx-ws has counted stay', () => {
  const { clock, uptime } = setUp();
  connect({ clock, uptime }, 0);
  assert.equal(uptime.attempt(7), 7);
});
