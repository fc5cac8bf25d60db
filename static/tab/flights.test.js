import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Flights } from './flights.js';

/** @type {import('./flights.js').Told} */
const told = {
  op: ['c', 1], t: 'counter:lobby', e: 1, v: 7, verdict: 'ack', r: 'one', tabs: 2, last: 3, taken: 1, back: 2,
  hops: [['queue', 1], ['store', 5], ['wait', 2], ['render', 1], ['write', 1]],
  others: [{ r: 'two', wait: 1, render: 1, write: 1, tabs: 1, paint: 90 }],
};

function clicked() {
  const flights = new Flights();
  flights.kept({ client: 'c', seq: 1, topic: 'counter:lobby' }, 100);
  return flights;
}

test('the parts of a click add up to what was measured', () => {
  const flights = clicked();
  flights.came('counter:lobby', [1, 6], 90)(95);
  const painted = flights.came('counter:lobby', [1, 8], 114);
  assert.equal(flights.of(told), undefined); // it is not on the screen
  painted(124);
  const flight = flights.of(told);
  assert.equal(flight?.measured, 24);
  assert.equal(flight?.sum, 24);
  assert.deepEqual(flight?.hops, { network: 4, queue: 1, store: 5, wait: 2, render: 1, write: 1, paint: 10 });
  assert.equal(flight?.lastTab, 4 / 2 + 6 + 2 + 90);
});

test('a replica that tells of more time than there was is seen', () => {
  const flights = clicked();
  flights.came('counter:lobby', [1, 7], 104)(106);
  const { measured = 0, sum = 0 } = flights.of(told) ?? {};
  assert.equal(sum - measured, 6);
});

test('what is of another click, or was refused, says nothing', () => {
  const flights = clicked();
  flights.came('counter:lobby', [1, 7], 114)(124);
  assert.ok(flights.of(told));
  assert.equal(flights.of({ ...told, op: ['d', 1] }), undefined);
  assert.equal(flights.of({ ...told, op: ['c', 2] }), undefined);
  assert.equal(flights.of({ ...told, t: 'counter:other' }), undefined);
  assert.equal(flights.of({ ...told, v: undefined }), undefined);
});
