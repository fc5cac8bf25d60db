import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_OUTBOX } from '../constants.js';
import { Outbox } from './outbox.js';

/** The storage of a tab, and clocks and ids that are known. */
function environment() {
  /** @type {Map<string, string>} */
  const stored = new Map();
  let ids = 0;
  const env = {
    stored,
    time: 0, // of the page
    wall: 1_000_000, // of the computer
    /** @type {() => import('./outbox.js').Store} */
    storage: () => ({
      getItem: (key) => stored.get(key) ?? null,
      setItem: (key, value) => void stored.set(key, value),
      removeItem: (key) => void stored.delete(key),
    }),
    now: () => env.time,
    date: () => env.wall,
    newId: () => `op${++ids}`,
    /** @param {number} ms */
    pass(ms) {
      env.time += ms;
      env.wall += ms;
    },
    // Another page in the same tab: its clock begins anew.
    reload() {
      env.time = 0;
      return new Outbox('k', env);
    },
  };
  return env;
}

/** @param {Outbox} outbox */
const ops = (outbox) => outbox.clicks().map(({ op }) => op);

test('a click gets an id, and keeps its fields but those of the form without JavaScript', () => {
  const outbox = new Outbox('k', environment());
  const click = outbox.add({ action: 'increment', _csrf: 'x', _op: 'y', op: 'forged' });
  assert.deepEqual(click, { action: 'increment', op: 'op1' });
});

test('a click in the storage that has __proto__ changes no prototype', () => {
  const env = environment();
  env.stored.set('k', '[{"message":{"op":"op1","__proto__":{"polluted":true}},"__proto__":{"polluted":true}}]');
  const [click] = new Outbox('k', env).again();
  assert.equal('polluted' in click, false);
  assert.equal('polluted' in {}, false);
});

test('clicks wait in the order in which they were made', () => {
  const outbox = new Outbox('k', environment());
  for (let i = 0; i < 3; i++) outbox.add({});
  assert.deepEqual(ops(outbox), ['op1', 'op2', 'op3']);
});

test('a full outbox takes no click until one is answered', () => {
  const outbox = new Outbox('k', environment());
  for (let i = 0; i < MAX_OUTBOX; i++) assert.notEqual(outbox.add({}), null);
  assert.equal(outbox.add({}), null);
  assert.equal(outbox.size, MAX_OUTBOX);
  outbox.settle(['op1']);
  assert.notEqual(outbox.add({}), null);
});

test('an answer settles the clicks that it names, and returns those that waited', () => {
  const outbox = new Outbox('k', environment());
  outbox.add({ n: 1 });
  outbox.add({ n: 2 });
  assert.deepEqual(outbox.settle(['op1', 'of another tab']), [{ n: 1, op: 'op1' }]);
  assert.deepEqual(ops(outbox), ['op2']);
  assert.deepEqual(outbox.settle(['op1']), [], 'a click that was answered before does not count again');
});

test('a click that is refused for good is forgotten', () => {
  const env = environment();
  const outbox = new Outbox('k', env);
  outbox.add({});
  outbox.remove('op1');
  outbox.remove(undefined); // an error that names no op
  assert.equal(outbox.has('op1'), false);
  assert.equal(env.reload().size, 0);
});

test('clicks survive a reload with the same ids, in their order', () => {
  const env = environment();
  const outbox = new Outbox('k', env);
  for (let i = 0; i < 3; i++) outbox.add({ i });
  outbox.settle(['op2']);
  assert.deepEqual(env.reload().clicks(), [{ i: 0, op: 'op1' }, { i: 2, op: 'op3' }]);
});

test('an outbox that is empty leaves nothing in the storage', () => {
  const env = environment();
  const outbox = new Outbox('k', env);
  outbox.add({});
  assert.equal(env.stored.size, 1);
  outbox.settle(['op1']);
  assert.equal(env.stored.size, 0);
});

test('what something else has left in the storage is not sent', () => {
  const texts = ['not JSON', '7', 'null', '{}', '"text"', '[null]', '[7]', '[{}]', '[{"message":null}]'];
  for (const foreign of [...texts, '[{"message":{"op":7}}]']) {
    const env = environment();
    env.stored.set('k', foreign);
    const outbox = new Outbox('k', env);
    assert.equal(outbox.size, 0, foreign);
    assert.notEqual(outbox.add({}), null, foreign);
  }
});

test('clicks beside something foreign are kept', () => {
  const env = environment();
  env.stored.set('k', '[null,{"message":{"op":"ours"},"made":1}]');
  assert.deepEqual(ops(new Outbox('k', env)), ['ours']);
});

test('where storage is blocked or full, clicks live as long as the page', () => {
  const blocked = () => { throw new Error('SecurityError'); };
  for (const storage of [blocked, () => ({ getItem: blocked, setItem: blocked, removeItem: blocked })]) {
    const outbox = new Outbox('k', { ...environment(), storage });
    outbox.add({});
    assert.deepEqual(ops(outbox), ['op1']);
    assert.equal(outbox.settle(['op1']).length, 1);
  }
});

test('the age of a click is by the clock that says more', () => {
  const env = environment();
  const outbox = new Outbox('k', env);
  outbox.add({});
  env.pass(1999);
  assert.deepEqual(outbox.again(), [{ op: 'op1', age: 1 }]);
  env.wall += 60_000; // the computer has slept: the clock of the page stood still
  assert.equal(outbox.again()[0].age, 61);
  env.wall -= 3_600_000; // the clock was set back
  assert.equal(outbox.again()[0].age, 1);
});

test('the age of a click is that of all pages together', () => {
  const env = environment();
  new Outbox('k', env).add({});
  env.pass(5000);
  assert.equal(env.reload().again()[0].age, 5);
});

test('only the clicks that are wanted are sent again', () => {
  const outbox = new Outbox('k', environment());
  for (let i = 0; i < 3; i++) outbox.add({});
  assert.deepEqual(outbox.again((op) => op !== 'op2').map(({ op }) => op), ['op1', 'op3']);
});

test('how long the person has waited is how long the oldest click has waited in this page', () => {
  const env = environment();
  const outbox = new Outbox('k', env);
  assert.equal(outbox.age, null);
  outbox.add({});
  env.pass(300);
  outbox.add({});
  env.pass(400);
  assert.equal(outbox.age, 700);
  outbox.settle(['op1']);
  assert.equal(outbox.age, 400);
  assert.equal(env.reload().age, 0);
});
