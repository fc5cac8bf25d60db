import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ANSWER_TIMEOUT, CONNECT_TIMEOUT, CONNECT_TIMEOUT_MAX, PAUSE_TIMEOUT, PROOF_TIMEOUT, RECONNECT_MAX,
  SILENCE_TIMEOUT, SILENCE_TIMEOUT_MIN, STATUS_INTERVAL,
} from '../constants.js';
import { Watchdog } from './watchdog.js';

const CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;

function setUp() {
  const clock = { time: 0 };
  const watchdog = new Watchdog(() => clock.time);
  return {
    clock,
    watchdog,
    /** @param {number} readyState - of a new socket */
    begin(readyState) {
      const socket = { readyState };
      watchdog.see(socket);
      return socket;
    },
    /** @param {number} [beat] - in seconds; without one the server is of an older version */
    connect(beat) {
      const socket = this.begin(OPEN);
      watchdog.hear();
      if (beat) watchdog.beat(beat);
      return socket;
    },
    /**
     * An attempt that takes so long, in milliseconds.
     * @param {number} ms
     * @returns {boolean} whether it was given up before
     */
    attempt(ms) {
      const socket = this.begin(CONNECTING);
      for (const end = clock.time + ms; clock.time < end; clock.time += 100) {
        if (watchdog.hangs(false)) return true;
      }
      socket.readyState = OPEN;
      watchdog.hear();
      return false;
    },
    /**
     * Reports whether it hangs after this time, and not before.
     * @param {number} limit - in milliseconds
     */
    hangsAfter(limit) {
      const from = clock.time;
      clock.time = from + limit;
      const early = watchdog.hangs(true);
      clock.time += 1;
      const late = watchdog.hangs(true);
      clock.time = from;
      return late && !early;
    },
  };
}

/** @type {[name: string, readyState: number, limit: number][]} */
const limits = [
  ['an attempt to connect', CONNECTING, CONNECT_TIMEOUT],
  ['an open socket on which nobody has spoken yet', OPEN, CONNECT_TIMEOUT],
  ['a socket that does not get closed', CLOSING, CONNECT_TIMEOUT],
  ['a pause between two attempts', CLOSED, PAUSE_TIMEOUT],
];

for (const [name, readyState, limit] of limits) {
  test(`${name} hangs after its own limit`, () => {
    const it = setUp();
    it.begin(readyState);
    assert.ok(it.hangsAfter(limit));
  });
}

test('a page without any socket hangs as an attempt does', () => {
  for (const none of [null, undefined]) {
    const it = setUp();
    it.watchdog.see(none);
    assert.ok(it.hangsAfter(CONNECT_TIMEOUT));
  }
});

test('a new socket gets its time from when it is first seen', () => {
  const it = setUp();
  it.begin(CONNECTING);
  it.clock.time += CONNECT_TIMEOUT;
  it.begin(CONNECTING);
  assert.ok(it.hangsAfter(CONNECT_TIMEOUT));
});

// ---- silence ----

test('a connection that goes on saying something does not hang', () => {
  const it = setUp();
  it.connect(STATUS_INTERVAL / 1000);
  for (let i = 0; i < 10; i++) {
    it.clock.time += STATUS_INTERVAL;
    assert.equal(it.watchdog.hangs(true), false);
    assert.equal(it.watchdog.quiet, false);
    it.watchdog.hear();
  }
});

/** @type {[name: string, beat: number | undefined, limit: number][]} */
const beats = [
  ['a server that says nothing of its beat', undefined, SILENCE_TIMEOUT],
  ['the usual beat', STATUS_INTERVAL / 1000, SILENCE_TIMEOUT],
  ['a slow beat', 120, 120_000 * SILENCE_TIMEOUT / STATUS_INTERVAL],
  ['a quick beat', 0.25, SILENCE_TIMEOUT_MIN],
];

for (const [name, beat, limit] of beats) {
  test(`the limit of silence follows ${name}`, () => {
    const it = setUp();
    it.connect(beat);
    assert.ok(it.hangsAfter(limit));
  });
}

test('a replica with a slow beat is not taken for dead between two beats', () => {
  const it = setUp();
  it.connect(60);
  for (let second = 0; second < 60; second++, it.clock.time += 1000) {
    assert.equal(it.watchdog.hangs(true) || it.watchdog.quiet, false, `after ${second} s`);
  }
});

test('the beat is that of one connection: the next replica may be of an older version', () => {
  const it = setUp();
  it.connect(120);
  it.connect();
  assert.ok(it.hangsAfter(SILENCE_TIMEOUT));
  assert.equal(it.watchdog.doubt(), false);
});

test('a beat that is late is a reason to ask', () => {
  const it = setUp();
  it.connect(20);
  it.clock.time += SILENCE_TIMEOUT / 2;
  assert.equal(it.watchdog.quiet, false);
  it.clock.time += 1;
  assert.equal(it.watchdog.quiet, true);
});

// ---- proofs ----

test('a connection that does not prove that it is alive hangs', () => {
  const it = setUp();
  it.connect(20);
  assert.equal(it.watchdog.doubt(), true);
  assert.ok(it.hangsAfter(PROOF_TIMEOUT));
});

test('what the server said before it was asked is no proof', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.doubt();
  it.clock.time += PROOF_TIMEOUT + 1;
  it.watchdog.hear(); // it has waited in the buffer of a socket since before the computer slept
  assert.equal(it.watchdog.hangs(true), true);
});

test('a connection that was proven goes on', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.doubt();
  it.clock.time += PROOF_TIMEOUT;
  it.watchdog.hear();
  it.watchdog.proven();
  assert.ok(it.hangsAfter(SILENCE_TIMEOUT));
});

test('who asks again waits no longer for it', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.doubt();
  it.clock.time += PROOF_TIMEOUT / 2;
  assert.equal(it.watchdog.doubt(), false);
  assert.equal(it.watchdog.doubtedFor, PROOF_TIMEOUT / 2);
  assert.ok(it.hangsAfter(PROOF_TIMEOUT / 2));
});

test('a server of an older version is not asked: it would not answer', () => {
  const it = setUp();
  it.connect();
  assert.equal(it.watchdog.doubt(), false);
  assert.ok(it.hangsAfter(SILENCE_TIMEOUT));
});

test('a proof that nobody has given is nothing to the next connection', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.doubt();
  it.connect(20);
  assert.equal(it.watchdog.doubtedFor, 0);
  assert.ok(it.hangsAfter(SILENCE_TIMEOUT));
});

test('on a slow link a proof may take as long as the connection did', () => {
  const it = setUp();
  it.attempt(4000);
  it.watchdog.beat(20);
  it.watchdog.doubt();
  assert.equal(it.watchdog.proofTimeout, 4000);
  assert.ok(it.hangsAfter(4000));
});

// ---- slow links ----

test('the limit for an attempt grows until one fits, and is kept then', () => {
  const it = setUp();
  const slow = 8000; // three round trips of 2.6 s
  assert.equal(it.attempt(slow), true);
  assert.equal(it.attempt(slow), false);
  for (let i = 0; i < 5; i++) assert.equal(it.attempt(slow), false, `attempt ${i} after the first that worked`);
});

test('the limit for an attempt has a limit', () => {
  const it = setUp();
  for (let i = 0; i < 9; i++) it.attempt(2 * CONNECT_TIMEOUT_MAX);
  it.begin(CONNECTING);
  assert.ok(it.hangsAfter(CONNECT_TIMEOUT_MAX));
});

test('a server that accepts and says nothing is given longer each time, too', () => {
  const it = setUp();
  it.begin(OPEN);
  it.clock.time += CONNECT_TIMEOUT + 1;
  assert.equal(it.watchdog.hangs(true), true);
  it.begin(OPEN);
  assert.ok(it.hangsAfter(2 * CONNECT_TIMEOUT));
});

test('the limit shrinks when the link is quick again', () => {
  const it = setUp();
  for (let i = 0; i < 3; i++) it.attempt(CONNECT_TIMEOUT_MAX);
  for (let i = 0; i < 5; i++) it.attempt(100);
  it.begin(CONNECTING);
  assert.ok(it.hangsAfter(CONNECT_TIMEOUT));
});

test('pauses and sockets that do not close do not make the limit grow', () => {
  const it = setUp();
  for (const readyState of [CLOSING, CLOSED]) {
    it.begin(readyState);
    it.clock.time += PAUSE_TIMEOUT + 1;
    assert.equal(it.watchdog.hangs(true), true);
  }
  it.begin(CONNECTING);
  assert.ok(it.hangsAfter(CONNECT_TIMEOUT));
});

// ---- clicks ----

test('a click without an answer is too late after its limit', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.ask();
  assert.ok(it.hangsAfter(ANSWER_TIMEOUT));
});

test('a later click does not give the first one more time', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.ask();
  it.clock.time += ANSWER_TIMEOUT;
  it.watchdog.ask();
  it.clock.time += 1;
  assert.equal(it.watchdog.hangs(true), true);
});

test('a server that says that it is degraded may answer late', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.ask();
  it.clock.time += ANSWER_TIMEOUT + 1;
  assert.equal(it.watchdog.hangs(false), false);
});

test('a click that was answered is not late', () => {
  const it = setUp();
  it.connect(20);
  it.watchdog.ask();
  it.watchdog.hear();
  it.clock.time += ANSWER_TIMEOUT + 1;
  assert.equal(it.watchdog.hangs(true), false);
});

test('a click does not hasten an attempt to connect', () => {
  const it = setUp();
  const socket = it.connect(20);
  it.watchdog.ask();
  socket.readyState = CLOSED;
  it.clock.time += ANSWER_TIMEOUT + 1;
  it.watchdog.progress();
  assert.equal(it.watchdog.hangs(true), false);
});

test('the limits leave room for what happens to connections that are well', () => {
  assert.ok(SILENCE_TIMEOUT > 2 * STATUS_INTERVAL, 'a status may be lost');
  assert.ok(SILENCE_TIMEOUT / 2 > STATUS_INTERVAL, 'nobody asks for a proof between two statuses');
  assert.ok(PAUSE_TIMEOUT > RECONNECT_MAX, 'the longest pause of hx-ws is over');
});
