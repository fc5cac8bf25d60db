import assert from 'node:assert/strict';
import test from 'node:test';

import { hash, Softs } from './softs.js';

const setup = () => {
  const time = { now: 0 };
  /** @type {Softs<number>} */
  const softs = new Softs(() => time.now);
  return { time, softs, shown: () => Object.fromEntries(softs.values) };
};

test('what has changed is shown', () => {
  const { softs, shown } = setup();
  assert.ok(softs.hear({ n: 7, all: true, is: { ann: 1, bob: 2 } }));
  assert.ok(softs.hear({ n: 8, is: { ann: 3, cat: 4 }, gone: ['bob'] }));
  assert.deepEqual(shown(), { ann: 3, cat: 4 });
  assert.ok(!softs.hear({}));
});

test('a message that was made before all was told changes nothing', () => {
  const { softs, shown } = setup();
  softs.hear({ n: 7, all: true, is: { ann: 1 } });
  assert.ok(!softs.hear({ n: 7, is: { ann: 0 } }));
  assert.ok(!softs.hear({ n: 6, gone: ['ann'] }));
  assert.deepEqual(shown(), { ann: 1 });
});

test('who is not among all is gone, and another replica counts anew', () => {
  const { softs, shown } = setup();
  softs.hear({ n: 700, all: true, is: { ann: 1, bob: 2 } });
  softs.hear({ n: 3, all: true, is: { bob: 5, cat: 6 } });
  softs.hear({ n: 4, is: { bob: 7 } });
  assert.deepEqual(shown(), { bob: 7, cat: 6 });
});

test('one that goes and comes in one message is there', () => {
  const { softs, shown } = setup();
  softs.hear({ n: 1, all: true });
  softs.hear({ n: 2, is: { ann: 1 }, gone: ['ann'] });
  assert.deepEqual(shown(), { ann: 1 });
});

test('what is not repeated is forgotten', () => {
  const { time, softs, shown } = setup();
  softs.hear({ n: 1, all: true, is: { ann: 1, bob: 2 } });
  time.now = 11000;
  assert.ok(!softs.forget());
  softs.hear({ n: 2, is: { bob: 2 } });
  time.now = 12000;
  assert.ok(softs.forget());
  assert.deepEqual(shown(), { bob: 2 });
});

test('an owner is the same number everywhere', () => {
  assert.equal(hash(''), 0x811c9dc5);
  assert.equal(hash('a'), 0xe40c292c);
  assert.equal(hash('foobar'), 0xbf9cf968);
});
