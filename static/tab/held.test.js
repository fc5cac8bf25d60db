import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HOLD_TIMEOUT } from '../constants.js';
import { HeldStates, TOGETHER } from './held.js';

/** @param {string} op */
const click = (op) => ({ op });

/** A tab that shows state 0 of topic t. */
function setUp() {
  const clock = { time: 0 };
  const states = new HeldStates(() => clock.time);
  states.begin('t', '0');
  return { clock, states };
}

test('a state is shown at once when no click waits', () => {
  const { states } = setUp();
  states.hear('t', '1');
  assert.equal(states.ripen(true), true);
  assert.equal(states.of('t'), '1');
  assert.equal(states.due, null);
});

test('a state waits for the answer to a click that may be in it', () => {
  const { states } = setUp();
  states.hear('t', '1');
  assert.equal(states.ripen(false), false);
  assert.equal(states.of('t'), '0');
  assert.equal(states.due, HOLD_TIMEOUT);
});

test('a state waits no longer than its limit', () => {
  const { clock, states } = setUp();
  states.hear('t', '1');
  clock.time += HOLD_TIMEOUT - 1;
  assert.equal(states.ripen(false), false);
  clock.time += 1;
  assert.equal(states.ripen(false), true);
  assert.equal(states.of('t'), '1');
});

test('a click that was answered is shown as waiting until its state is shown, and then no more', () => {
  const { clock, states } = setUp();
  states.hear('t', '1');
  states.answer([click('a')], new Set(['b']));
  states.ripen(false);
  assert.deepEqual(states.counted(), [click('a')]);
  assert.equal(states.of('t'), '0');
  assert.equal(states.due, TOGETHER);
  clock.time += TOGETHER;
  assert.equal(states.ripen(false), true);
  assert.deepEqual(states.counted(), []);
  assert.equal(states.of('t'), '1');
});

test('several answers to one state let go of their clicks together', () => {
  const { clock, states } = setUp();
  states.hear('t', '2');
  states.answer([click('a')], new Set(['b', 'c']));
  clock.time += TOGETHER / 2;
  states.answer([click('b')], new Set(['c']));
  states.ripen(false);
  assert.deepEqual(states.counted(), [click('a'), click('b')]);
  clock.time += TOGETHER / 2;
  states.ripen(false);
  assert.deepEqual(states.counted(), []);
});

test('a click whose answer comes after its state is shown is not shown twice', () => {
  const { clock, states } = setUp();
  states.hear('t', '1');
  clock.time += HOLD_TIMEOUT;
  states.ripen(false); // the answer is late
  states.answer([click('a')], new Set());
  assert.deepEqual(states.counted(), []);
  assert.equal(states.of('t'), '1');
});

test('a click that was sent on a connection that has ended may be in any state: none is hurried', () => {
  const { states } = setUp();
  states.doubt(['a', 'b']);
  states.hear('t', '2');
  states.answer([click('a')], new Set(['b']));
  assert.equal(states.due, HOLD_TIMEOUT);
  states.answer([click('b')], new Set());
  assert.equal(states.due, TOGETHER);
});

test('clicks go with their state when a doubt about others is settled', () => {
  const { clock, states } = setUp();
  states.doubt(['b']);
  states.hear('t', '2');
  states.answer([click('a')], new Set(['b']));
  states.answer([click('b')], new Set(['c']));
  clock.time += TOGETHER;
  states.ripen(false);
  assert.equal(states.of('t'), '2');
  assert.deepEqual(states.counted(), []);
});

test('a refusal settles a doubt as well', () => {
  const { states } = setUp();
  states.doubt(['a']);
  states.hear('t', '1');
  states.answer([], new Set(['b']));
  assert.equal(states.due, TOGETHER);
});

test('states ripen in their order: the newest of a topic is shown', () => {
  const { clock, states } = setUp();
  states.hear('t', '1');
  clock.time += 10;
  states.hear('t', '2');
  clock.time += HOLD_TIMEOUT - 10;
  states.ripen(false);
  assert.equal(states.of('t'), '1');
  assert.equal(states.due, 10);
  states.ripen(true);
  assert.equal(states.of('t'), '2');
});

test('a state that is overdue is due now', () => {
  const { clock, states } = setUp();
  states.hear('t', '1');
  clock.time += 2 * HOLD_TIMEOUT;
  assert.equal(states.due, 0);
});

test('topics keep their states apart', () => {
  const { states } = setUp();
  states.begin('u', '7');
  states.hear('t', '1');
  states.ripen(true);
  assert.deepEqual(states.topics(), ['t', 'u']);
  assert.equal(states.of('u'), '7');
});
