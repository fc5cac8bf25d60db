import assert from 'node:assert/strict';
import { test } from 'node:test';

import { read } from './message.js';

/** @type {[name: string, data: unknown, want: import('./message.js').Message][]} */
const cases = [
  ['a state as HTML', '{"t":"counter:a","e":1,"v":42,"swap":"none","content":"<p>"}',
    { update: { topic: 'counter:a', at: [1, 42], back: undefined, content: '<p>', state: undefined } }],
  ['a state as text', '{"t":"counter:a","e":1,"v":42,"state":"{}"}',
    { update: { topic: 'counter:a', at: [1, 42], back: undefined, content: undefined, state: '{}' } }],
  ['version 0 is a version', '{"t":"counter:a","e":0,"v":0,"content":""}',
    { update: { topic: 'counter:a', at: [0, 0], back: undefined, content: '', state: undefined } }],
  ['a state that takes back what never was', '{"t":"counter:a","e":1,"v":4,"back":true,"content":""}',
    { update: { topic: 'counter:a', at: [1, 4], back: true, content: '', state: undefined } }],
  ['a fragment without a version is no update: hx-ws shows it', '{"t":"tabs:a","content":"<p>"}', {}],
  ['an acknowledgement', '{"ack":["a","b"]}', { acked: ['a', 'b'] }],
  ['a refusal', '{"error":"no","op":"a"}', { refusal: { op: 'a', error: 'no', retry: undefined } }],
  ['a refusal for now', '{"error":"later","op":"a","retry":true}',
    { refusal: { op: 'a', error: 'later', retry: true } }],
  ['an error that names no op', '{"error":"malformed"}',
    { refusal: { op: undefined, error: 'malformed', retry: undefined } }],
  ['an error without a text', '{"error":"","op":"a"}', { refusal: { op: 'a', error: '', retry: undefined } }],
  ['a status with its beat', '{"status":"live","beat":20}', { status: 'live', beat: 20 }],
  ['a proof', '{"status":"live","beat":0.5,"proof":true}', { status: 'live', beat: 0.5, proof: true }],
  ['a status', '{"status":"degraded"}', { status: 'degraded' }],
  ['a status and an acknowledgement in one', '{"status":"live","ack":["a"]}', { status: 'live', acked: ['a'] }],
  ['plain HTML', '<p>hello</p>', {}],
  ['half a message', '{"ack":["a"', {}],
  ['null', 'null', {}],
  ['a number', '7', {}],
  ['binary', new ArrayBuffer(1), {}],
];

for (const [name, data, want] of cases) {
  test(`reads ${name}`, () => {
    const nothing = {
      status: undefined, beat: undefined, proof: undefined, acked: undefined, refusal: undefined, update: undefined,
    };
    assert.deepEqual(read(data), { ...nothing, ...want });
  });
}
