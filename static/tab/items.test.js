import assert from 'node:assert/strict';
import { test } from 'node:test';

import { read, replace } from './items.js';

/** @param {Record<string, string>} attributes */
const tag = (attributes) => ({ getAttribute: (/** @type {string} */ name) => attributes[name] ?? null });

const nothing = { all: false, older: false, gap: false, put: [], gone: [] };

/** @type {[name: string, attributes: Record<string, string>, want: object][]} */
const tags = [
  ['new content only', {}, {}],
  ['where items go', { put: 't9:t4 t7:t9  t3:' }, { put: [['t9', 't4'], ['t7', 't9'], ['t3', '']] }],
  ['an item without a colon goes first', { put: 't9' }, { put: [['t9', '']] }],
  ['what has gone', { gone: ' t5\n t6 ' }, { gone: ['t5', 't6'] }],
  ['all', { all: '' }, { all: true }],
  ['a gap', { all: '', gap: '12' }, { all: true, gap: true }],
  ['older entries', { older: '' }, { older: true }],
];

for (const [name, attributes, want] of tags) {
  test(`reads ${name}`, () => assert.deepEqual(read(tag(attributes)), { ...nothing, ...want }));
}

/** @type {[name: string, shown: string, all: string, log: boolean, put: string, gone: string][]} */
const wholes = [
  ['a list', 'a b c', 'c d a', false, 'c: d:c a:d', 'b'],
  ['an empty list', '', 'a b', false, 'a: b:a', ''],
  ['a list that is empty now', 'a b', '', false, '', 'a b'],
  ['a list whose first item is known', 'a b c', 'b c', false, 'b: c:b', 'a'],
  ['a log: what is before the window stays', 'a b c', 'c d', true, 'c:b d:c', ''],
  ['a log of which the end never was', 'a b c x', 'b c', true, 'b:a c:b', 'x'],
  ['a log with a gap', 'a b', 'y z', true, 'y: z:y', 'a b'],
  ['an empty log', '', 'y z', true, 'y: z:y', ''],
  ['a log that is empty now', 'a b', '', true, '', 'a b'],
];

for (const [name, shown, all, log, put, gone] of wholes) {
  test(`replaces ${name}`, () => {
    const words = (/** @type {string} */ text) => text.split(' ').filter(Boolean);
    const got = replace(words(shown), words(all), log);
    assert.equal(got.put.map((pair) => pair.join(':')).join(' '), put);
    assert.equal(got.gone.join(' '), gone);
  });
}
