import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Events } from './events.js';

const answer = ': padding\n\ndata: {"status":"live"}\n\ndata: {"ack":["a"]}\n\n'
  + 'event: close\ndata: {"code":1012,"reason":"bye"}\n\n';

const all = [
  { data: '{"status":"live"}' }, { data: '{"ack":["a"]}' }, { close: { code: 1012, reason: 'bye' } },
];

test('events are found whatever the pieces', () => {
  for (let size = 1; size <= answer.length; size++) {
    const events = new Events();
    const got = [];
    for (let i = 0; i < answer.length; i += size) got.push(...events.take(answer.slice(i, i + size)));
    assert.deepEqual(got, all);
  }
});

test('an event that is not complete is none', () => {
  assert.deepEqual(new Events().take('data: {"status":'), []);
});
