import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RETRY_MAX, RETRY_MIN } from '../constants.js';
import { Backoff } from './backoff.js';

test('a pause is a quarter shorter at least and a quarter longer at most', () => {
  for (const [random, pause] of [[0, 750], [0.5, 1000], [0.999, 1249.5]]) {
    assert.equal(new Backoff(1000, 5000, () => random).pause(), pause);
  }
});

test('chance decides about each pause anew', () => {
  const chances = [0, 0.5];
  const backoff = new Backoff(1000, 5000, () => chances.shift() ?? 0);
  assert.deepEqual([backoff.pause(), backoff.pause()], [750, 1000]);
});

test('pauses double up to their limit', () => {
  const backoff = new Backoff(RETRY_MIN, RETRY_MAX, () => 0.5);
  const pauses = [];
  for (let i = 0; i < 5; i++) {
    pauses.push(backoff.pause());
    backoff.grow();
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 5000, 5000]);
});

test('after an attempt that worked the next pause is the first again', () => {
  const backoff = new Backoff(1000, 5000, () => 0.5);
  backoff.grow();
  backoff.grow();
  backoff.reset();
  assert.equal(backoff.pause(), 1000);
});
