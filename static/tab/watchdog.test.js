import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ANSWER_TIMEOUT, CONNECT_TIMEOUT, PAUSE_TIMEOUT, RECONNECT_MAX, SILENCE_TIMEOUT, STATUS_INTERVAL,
} from '../constants.js';
import { Watchdog } from './watchdog.js';

const CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;

function setUp() {
  const clock = { time: 0 };
  return { clock, watchdog: new Watchdog(() => clock.time) };
}

/** @type {[name: string, readyState: number, limit: number][]} */
const limits = [
  ['an attempt to connect', CONNECTING, CONNECT_TIMEOUT],
  ['a silent connection', OPEN, SILENCE_TIMEOUT],
  ['a connection that does not get closed', CLOSING, CONNECT_TIMEOUT],
  ['a pause between two attempts', CLOSED, PAUSE_TIMEOUT],
];

for (const [name, readyState, limit] of limits) {
  test(`${name} hangs after its own limit`, () => {
    const { clock, watchdog } = setUp();
    const socket = { readyState };
    assert.equal(watchdog.hangs(socket, true), false);
    clock.time += limit;
    assert.equal(watchdog.hangs(socket, true), false);
    clock.time += 1;
    assert.equal(watchdog.hangs(socket, true), true);
  });
}

test('a page without any socket hangs as an attempt does', () => {
  for (const none of [null, undefined]) {
    const { clock, watchdog } = setUp();
    assert.equal(watchdog.hangs(none, false), false);
    clock.time += CONNECT_TIMEOUT + 1;
    assert.equal(watchdog.hangs(none, false), true);
  }
});

test('a new socket gets its time from when it is first seen', () => {
  const { clock, watchdog } = setUp();
  watchdog.hangs({ readyState: CONNECTING }, false);
  clock.time += CONNECT_TIMEOUT;
  const next = { readyState: CONNECTING };
  assert.equal(watchdog.hangs(next, false), false);
  clock.time += CONNECT_TIMEOUT;
  assert.equal(watchdog.hangs(next, false), false);
});

test('a connection that goes on saying something does not hang', () => {
  const { clock, watchdog } = setUp();
  const socket = { readyState: OPEN };
  for (let i = 0; i < 10; i++) {
    clock.time += STATUS_INTERVAL;
    watchdog.hear();
    assert.equal(watchdog.hangs(socket, true), false);
  }
});

test('a click without an answer is too late after its limit', () => {
  const { clock, watchdog } = setUp();
  const socket = { readyState: OPEN };
  watchdog.hangs(socket, true);
  watchdog.ask();
  clock.time += ANSWER_TIMEOUT;
  assert.equal(watchdog.hangs(socket, true), false);
  clock.time += 1;
  assert.equal(watchdog.hangs(socket, true), true);
});

test('a later click does not give the first one more time', () => {
  const { clock, watchdog } = setUp();
  const socket = { readyState: OPEN };
  watchdog.ask();
  clock.time += ANSWER_TIMEOUT;
  watchdog.ask();
  clock.time += 1;
  assert.equal(watchdog.hangs(socket, true), true);
});

test('a server that says that it is degraded may answer late', () => {
  const { clock, watchdog } = setUp();
  watchdog.ask();
  clock.time += ANSWER_TIMEOUT + 1;
  assert.equal(watchdog.hangs({ readyState: OPEN }, false), false);
});

test('a click that was answered is not late', () => {
  const { clock, watchdog } = setUp();
  const socket = { readyState: OPEN };
  watchdog.ask();
  watchdog.hear();
  clock.time += ANSWER_TIMEOUT + 1;
  assert.equal(watchdog.hangs(socket, true), false);
});

test('a click does not hasten an attempt to connect', () => {
  const { clock, watchdog } = setUp();
  const socket = { readyState: CLOSED };
  watchdog.ask();
  clock.time += ANSWER_TIMEOUT + 1;
  watchdog.progress();
  assert.equal(watchdog.hangs(socket, true), false);
});

test('the limits leave room for what happens to connections that are well', () => {
  assert.ok(SILENCE_TIMEOUT > 2 * STATUS_INTERVAL, 'a status may be lost');
  assert.ok(PAUSE_TIMEOUT > RECONNECT_MAX, 'the longest pause of hx-ws is over');
});
