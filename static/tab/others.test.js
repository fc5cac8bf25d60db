import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ORPHAN_AGE, STRANGER_AGE } from '../constants.js';
import { sort } from './others.js';

/** @import { Entry } from './outbox.js' */

const DATE = 1e12;

/** @param {Partial<Entry>} [what] @returns {Entry} */
const entry = (what) => (
  { client: 'c', topic: 'a', seq: 1, do: 'inc', in: {}, user: 'bob', grant: 'of bob', made: DATE - 60_000, ...what });

/** @param {Entry[]} entries @param {Partial<Parameters<typeof sort>[1]>} [how] */
const sorted = (entries, how) => sort(entries, { user: 'ann', shows: ['a'], date: DATE, lives: [], ...how });

test('what is this person\'s by another name becomes theirs, without what was granted to that', () => {
  const was = entry({ user: 'ann-before' });
  const { mended, strange, over } = sorted([was, entry()], { former: 'ann-before', lives: ['c'] });
  assert.deepEqual(mended, [{ ...was, user: 'ann', grant: '' }]);
  assert.deepEqual([strange, over], [[], []], 'nothing is said of a page that is open');
});

test('of what waits for somebody else, or for another page, the person is told', () => {
  const bobs = entry(), elsewhere = entry({ user: 'ann', grant: '', topic: 'b' });
  const own = [entry({ user: 'ann' }), entry({ user: 'ann', grant: '' }), entry({ user: 'ann', grant: undefined })];
  const { mended, strange, over } = sorted([bobs, elsewhere, ...own]);
  assert.deepEqual(strange, [bobs, elsewhere]);
  assert.deepEqual([mended, over], [[], []]);
});

test('the person is told once, and what they know of is kept for as long as it may be of use', () => {
  const told = entry({ told: true }), old = entry({ told: true, made: DATE - STRANGER_AGE - 1 });
  const untold = entry({ made: DATE - STRANGER_AGE - 1 });
  const { strange, over } = sorted([told, old, untold]);
  assert.deepEqual(over, [old]);
  assert.deepEqual(strange, [untold]);
});

test('nothing is said of pages that are open', () => {
  assert.deepEqual(sorted([entry()], { lives: ['x', 'c'] }).strange, []);
  const lives = undefined, young = entry({ made: DATE - ORPHAN_AGE }), old = entry({ made: DATE - ORPHAN_AGE - 1 });
  assert.deepEqual(sorted([young, old], { lives }).strange, [old], 'where that can not be told, of what is new');
});

test('what something else has left in the database is left alone', () => {
  const foreign = [{ client: 7 }, { user: undefined }, { topic: [] }, { do: {} }];
  const { mended, strange, over } = sorted(foreign.map((what) => entry(/** @type {any} */ (what))), { former: 'x' });
  assert.deepEqual([mended, strange, over], [[], [], []]);
});
