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
      states.hear(TOPIC, String(n), waiting);
      states.ripen();
    },
    /** @param {Op} op @param {'ack' | 'refused' | 'retry'} verdict */
    answer(op, verdict) {
      if (verdict !== 'retry') waiting = waiting.filter((it) => it !== op);
      op.flying = null;
      states.answer(op, verdict === 'ack');
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

test('topics do not hold each other back', () => {
  const t = tab();
  t.click();
  t.states.hear('counter:b', '3', []);
  t.states.ripen();
  assert.equal(t.states.of('counter:b'), '3');
  t.hear(1);
  assert.equal(t.states.of(TOPIC), undefined);
});
