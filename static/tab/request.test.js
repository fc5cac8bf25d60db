import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { batch, pack } from './request.js';

test('messages go in the header, as a list', () => {
  deepEqual(pack(['{"hello":1}', '{"op":"a"}']), { headers: { 'Lockstep-Messages': '{"hello":1}, {"op":"a"}' } });
});

test('where there is no hello yet there is none in the list', () => {
  deepEqual(pack(['', '{"op":"a"}']), { headers: { 'Lockstep-Messages': '{"op":"a"}' } });
  deepEqual(pack(['']), { headers: { 'Lockstep-Messages': '' } });
});

test('what is not ASCII comes through a header as it was', () => {
  const message = JSON.stringify({ in: 'ä€😀\u007f' });
  const list = pack([message]).headers?.['Lockstep-Messages'] ?? '';
  ok(/^[ -~]+$/.test(list), list);
  deepEqual(JSON.parse(list), JSON.parse(message));
});

test('what is too long for a header goes in a body', () => {
  const long = JSON.stringify({ in: 'ä'.repeat(1000) });
  deepEqual(pack(['{"hello":1}', long]), { body: `{"hello":1}\n${long}` });
});

test('a full outbox goes in batches that fit into a header, in its order', () => {
  /** @param {number} n */
  const op = (n) => JSON.stringify({ action: 'increment', op: `${n}`.padStart(22, 'x'), age: 123.4 });
  const hello = JSON.stringify({ hello: 1, tab: 'x'.repeat(22), e: Date.now(), v: 2 ** 53, as: 'data' });
  const all = Array.from({ length: 200 }, (_, n) => op(n));
  const queue = [...all];
  const sent = [];
  for (let requests = 0; queue.length; requests++) {
    ok(requests < 10);
    const messages = batch(queue);
    ok(pack([hello, ...messages]).headers);
    sent.push(...messages);
  }
  deepEqual(sent, all);
});

test('a message that is long by itself goes alone, and none is an empty batch', () => {
  const queue = ['x'.repeat(4096), 'y'];
  equal(batch(queue).length, 1);
  deepEqual(batch(queue), ['y']);
  deepEqual(batch(queue), []);
});
