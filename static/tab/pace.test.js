import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pace } from './pace.js';

/**
 * Has a Pace whose time goes on when it is told to.
 * @param {(pace: Pace, pass: (ms: number) => void, done: number[]) => void} scene - done has the
 *   times at which the job was done
 */
function play(scene) {
  let time = 0;
  /** @type {Map<unknown, { at: number, job: () => void }>} */
  const timers = new Map();
  /** @type {import('./pace.js').Clock} */
  const clock = {
    now: () => time,
    later(job, ms) {
      const timer = /** @type {any} */ ({});
      timers.set(timer, { at: time + ms, job });
      return timer;
    },
    cancel: (timer) => void timers.delete(timer),
  };
  const pass = (/** @type {number} */ ms) => {
    for (const end = time + ms; time < end; time++) {
      for (const [timer, { at, job }] of timers) if (at <= time && timers.delete(timer)) job();
    }
  };
  /** @type {number[]} */
  const done = [];
  scene(new Pace(() => done.push(time), clock), pass, done);
}

test('the first time it is done at once', () => play((pace, pass, done) => {
  pass(100);
  pace.ask(500);
  pass(1);
  assert.deepEqual(done, [100]);
}));

test('twenty times a second become two, and the last is not forgotten', () => play((pace, pass, done) => {
  for (let i = 0; i < 40; i++) {
    pace.ask(500);
    pass(50);
  }
  pass(2000);
  assert.deepEqual(done, [0, 500, 1000, 1500, 2000]);
}));

test('who is in more of a hurry is not kept waiting by who is not', () => play((pace, pass, done) => {
  pace.ask(5000);
  pass(100);
  pace.ask(5000);
  pace.ask(1000);
  pace.ask(5000);
  pass(10000);
  assert.deepEqual(done, [0, 1000]);
}));

test('what is not asked for is not done', () => play((_, pass, done) => {
  pass(10000);
  assert.deepEqual(done, []);
}));
