import assert from 'node:assert/strict';
import { test } from 'node:test';

import { POLL_HIDDEN, POLL_VISIBLE, PROBE_MAX, PROBE_MIN } from '../constants.js';
import { Way } from './way.js';

test('a tab has a stream while it is looked at, or shares a connection', () => {
  const way = new Way();
  for (const [hidden, multiplexed, want] of [
    [false, false, true], [true, false, false], [false, true, true], [true, true, true],
  ]) assert.equal(way.streams({ hidden, multiplexed }), want, `hidden ${hidden}, multiplexed ${multiplexed}`);
});

test('a stream that is held back is not tried again', () => {
  const way = new Way();
  way.held();
  assert.equal(way.streams({ hidden: false, multiplexed: true }), false);
});

test('a hidden tab asks less often', () => {
  assert.equal(new Way().pause(false), POLL_VISIBLE);
  assert.equal(new Way().pause(true), POLL_HIDDEN);
});

test('the pauses before a socket is tried again double, up to a limit', () => {
  const way = new Way();
  const got = Array.from({ length: 12 }, () => way.probe());
  assert.equal(got[0], PROBE_MIN);
  assert.equal(got[1], 2 * PROBE_MIN);
  assert.equal(got[11], PROBE_MAX);
});
