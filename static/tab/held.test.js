import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ANSWER_TIMEOUT } from '../constants.js';
import { HeldStates } from './held.js';

/** @import { Op } from './outbox.js' */

const TOPIC = 'counter:a';

/** A tab that shows a sum: a state is a number, and each op adds one. */
function tab() {
  const clock = { time: 0 };
  const states = new HeldStates(() => clock.time);
  /** @type {Op[]} */
  let waiting = [];
  let seq = 0;
  return {
    clock,
    states,
    /** @param {Partial<Op>} [how] @returns {Op} */
    click(how) {
      const entry = { client: 'c', topic: TOPIC, seq: ++seq, do: 'inc', in: {}, user: '', made: 0 };
      const op = { id: String(seq), entry, adopted: false, secret: false, durable: true, answered: false,
        flying: clock.time, since: 0, seen: 0, ...how };
      waiting.push(op);
      return op;
    },
    /** @param {number} n */
    hear(n) {
      states.hear(TOPIC, [1, n], String(n), waiting);
      states.ripen();
    },
    /**
     * @param {Op} op
     * @param {'ack' | 'refused' | 'retry'} verdict
     * @param {number} [n] - the sum that has it first
     */
    answer(op, verdict, n) {
      if (verdict !== 'retry') waiting = waiting.filter((it) => it !== op);
      op.flying = null;
      states.answer(op, verdict === 'ack', n === undefined ? undefined : [1, n]);
      states.ripen();
    },
    get shown() {
      return Number(states.of(TOPIC)) + states.over(TOPIC, waiting).length;
    },
  };
}

test('a state is shown at once while no op is under way', () => {
  const t = tab();
  t.hear(5);
  assert.equal(t.shown, 5);
  assert.deepEqual(t.states.topics(), [TOPIC]);
  assert.equal(t.states.due, null);
});

test('an op is shown at once, and once, when the state that has it comes before its answer', () => {
  const t = tab();
  t.hear(5);
  const op = t.click();
  assert.equal(t.shown, 6);
  t.hear(6);
  assert.equal(t.shown, 6);
  t.clock.time += 5000; // the answer is late
  assert.equal(t.states.ripen(), false);
  assert.equal(t.shown, 6);
  t.answer(op, 'ack');
  assert.equal(t.shown, 6);
});

test('of several ops none is shown twice, and none is missing, whenever their answers come', () => {
  const t = tab();
  t.hear(0);
  const ops = [t.click(), t.click()];
  t.hear(1); // has one of them
  ops.push(t.click());
  assert.equal(t.shown, 3);
  t.answer(ops[0], 'ack');
  assert.equal(t.shown, 3);
  t.hear(3);
  assert.equal(t.shown, 3);
  t.answer(ops[1], 'ack');
  assert.equal(t.shown, 3);
  t.answer(ops[2], 'ack');
  assert.equal(t.shown, 3);
  t.hear(7); // of others
  assert.equal(t.shown, 7);
});

test('an op that is refused is shown no more', () => {
  const t = tab();
  t.hear(5);
  const op = t.click();
  t.hear(8);
  t.answer(op, 'refused');
  assert.equal(t.shown, 8);
});

test('an op that is put off is in no state, and holds none back', () => {
  const t = tab();
  t.hear(5);
  const op = t.click();
  t.hear(6); // of others
  assert.equal(t.shown, 6);
  t.answer(op, 'retry');
  assert.equal(t.shown, 7);
  t.hear(9);
  assert.equal(t.shown, 10);
});

test('an op that was never sent is in no state', () => {
  const t = tab();
  t.click({ flying: null });
  t.hear(5);
  assert.equal(t.shown, 6);
});

test('what another page has sent may be in any state, and is left to the server', () => {
  const t = tab();
  const entry = { client: 'd', topic: TOPIC, seq: 1, do: 'inc', in: {}, user: '', made: 0 };
  const sent = t.click({ adopted: true, entry: { ...entry, sent: { date: 0, clock: 0 } } });
  t.click({ adopted: true, entry, flying: null });
  t.hear(5);
  assert.equal(t.shown, 6);
  t.answer(sent, 'ack');
  assert.equal(t.shown, 6);
});

test('a state is not held back for ever by an answer that does not come', () => {
  const t = tab();
  t.hear(5);
  t.click();
  t.clock.time = 100;
  t.hear(6);
  t.clock.time = 1100;
  t.hear(7);
  assert.equal(t.states.due, ANSWER_TIMEOUT - 1000);
  t.clock.time = 100 + ANSWER_TIMEOUT;
  assert.equal(t.states.ripen(), true);
  assert.equal(t.states.of(TOPIC), '7');
});

// Each click makes the next sum, its state comes soon, and its answer a second later.
test('a person who clicks on without a pause sees each click once, however late its answers are', () => {
  const t = tab();
  t.hear(0);
  /** @type {Op[]} */
  const ops = [];
  for (let i = 1; i <= 400; i++) {
    t.clock.time += 50;
    ops.push(t.click());
    assert.equal(t.shown, i);
    if (i > 2) t.hear(i - 2);
    assert.equal(t.shown, i);
    if (i > 20) t.answer(ops[i - 21], 'ack', i - 20);
    t.states.ripen();
    assert.equal(t.shown, i);
  }
  assert.ok(Number(t.states.of(TOPIC)) > 350, `the state that is shown is ${t.states.of(TOPIC)}, of long ago`);
});

test('what others do is seen while a person clicks on without a pause', () => {
  const t = tab();
  t.hear(0);
  /** @type {Op[]} */
  const ops = [];
  for (let i = 1; i <= 100; i++) { // the others count one for each
    t.clock.time += 50;
    ops.push(t.click());
    t.hear(2 * i);
    if (i > 20) t.answer(ops[i - 21], 'ack', 2 * (i - 20));
    assert.ok(t.shown >= i && t.shown <= 2 * i, `after ${i} clicks ${t.shown} is shown`);
  }
  assert.ok(t.shown > 150, `after 100 clicks, and 100 of others, ${t.shown} is shown`);
});

test('an op that has its answer is shown over a state from before it', () => {
  const t = tab();
  t.hear(5);
  const ops = [t.click(), t.click()];
  t.hear(6); // has the first, and waits
  t.hear(7); // has both
  t.answer(ops[1], 'ack', 7);
  assert.equal(t.shown, 7);
  t.answer(ops[0], 'ack', 6);
  assert.equal(t.shown, 7);
  assert.equal(t.states.of(TOPIC), '7');
});

test('where nobody knows which state has an op, the newest has it', () => {
  const t = tab();
  t.hear(5);
  const ops = [t.click(), t.click()];
  t.hear(6);
  t.hear(7);
  t.answer(ops[0], 'ack');
  t.answer(ops[1], 'ack');
  assert.equal(t.shown, 7);
  assert.equal(t.states.of(TOPIC), '7');
});

test('an op whose state is missing is shown until that comes', () => {
  const t = tab();
  t.hear(5);
  const op = t.click();
  t.answer(op, 'ack', 6);
  assert.equal(t.shown, 6);
  t.hear(6);
  assert.equal(t.shown, 6);
});

test('an op of a store that has lost it is not shown for ever', () => {
  const t = tab();
  t.hear(5);
  const op = t.click();
  t.answer(op, 'ack', 6);
  t.states.hear(TOPIC, [2, 1], '3', []);
  t.states.ripen();
  assert.equal(t.shown, 3);
});

test('topics do not hold each other back', () => {
  const t = tab();
  t.click();
  t.states.hear('counter:b', [1, 3], '3', []);
  t.states.ripen();
  assert.equal(t.states.of('counter:b'), '3');
  t.hear(1);
  assert.equal(t.states.of(TOPIC), undefined);
});
