import assert from 'node:assert/strict';
import { test } from 'node:test';

import { read } from './message.js';

/** @import { Answer, At, Message, Verdict } from './message.js' */

/** @type {(verdict: Verdict, seq?: number, reason?: string, at?: At) => Answer} */
const answer = (verdict, seq = 7, reason = '', at = undefined) => (
  { topic: 'counter:a', client: 'c', seq, verdict, reason, at });

/** @type {[name: string, data: unknown, want: Partial<Message>][]} */
const cases = [
  ['a state as HTML', '{"t":"counter:a","e":1,"v":42,"swap":"none","content":"<p>"}',
    { update: { topic: 'counter:a', at: [1, 42], base: undefined, back: undefined, content: '<p>',
      state: undefined } }],
  ['a state as text', '{"t":"counter:a","e":1,"v":42,"state":"{}"}',
    { update: { topic: 'counter:a', at: [1, 42], base: undefined, back: undefined, content: undefined,
      state: '{}' } }],
  ['version 0 is a version', '{"t":"counter:a","e":0,"v":0,"content":""}',
    { update: { topic: 'counter:a', at: [0, 0], base: undefined, back: undefined, content: '', state: undefined } }],
  ['a state that takes back what never was', '{"t":"counter:a","e":1,"v":4,"back":true,"content":""}',
    { update: { topic: 'counter:a', at: [1, 4], base: undefined, back: true, content: '', state: undefined } }],
  ['what has changed since a version', '{"t":"list:a","e":1,"a":41,"v":42,"swap":"none","content":"<hx-list>"}',
    { update: { topic: 'list:a', at: [1, 42], base: 41, back: undefined, content: '<hx-list>', state: undefined } }],
  ['a fragment without a version is no update: hx-ws shows it', '{"t":"tabs:a","content":"<p>"}', {}],
  ['acknowledgements', '{"t":"counter:a","ack":[["c",7],["c",8]],"clock":9}',
    { answers: [answer('ack'), answer('ack', 8)], clock: 9 }],
  ['acknowledgements that say which state has an op',
    '{"t":"counter:a","ack":[["c",7],["c",8]],"first":[null,[1,42]]}',
    { answers: [answer('ack'), answer('ack', 8, '', [1, 42])] }],
  ['a refusal', '{"t":"counter:a","op":["c",7],"refused":"no"}', { answers: [answer('refused', 7, 'no')] }],
  ['a refusal without a reason', '{"t":"counter:a","op":["c",7],"refused":""}', { answers: [answer('refused')] }],
  ['an answer that another page had', '{"t":"counter:a","op":["c",7],"settled":true}',
    { answers: [answer('settled')] }],
  ['an answer that nobody knows', '{"t":"counter:a","op":["c",7],"old":true}', { answers: [answer('old')] }],
  ['an op that was put off', '{"t":"counter:a","op":["c",7],"retry":true}', { answers: [answer('retry')] }],
  ['an op that was put off, and why', '{"t":"counter:a","op":["c",7],"retry":true,"error":"later"}',
    { answers: [answer('retry', 7, 'later')] }],
  ['an error that names no op', '{"error":"malformed"}', { complaint: 'malformed' }],
  ['a status with its beat', '{"status":"live","beat":20,"clock":5}', { status: 'live', beat: 20, clock: 5 }],
  ['a wish to hear of paints', '{"paint":1}', { paint: 1 }],
  ['a proof', '{"status":"live","beat":0.5,"proof":true}', { status: 'live', beat: 0.5, proof: true }],
  ['a status', '{"status":"degraded"}', { status: 'degraded' }],
  ['plain HTML', '<p>hello</p>', {}],
  ['half a message', '{"ack":["a"', {}],
  ['null', 'null', {}],
  ['a number', '7', {}],
  ['binary', new ArrayBuffer(1), {}],
];

for (const [name, data, want] of cases) {
  test(`reads ${name}`, () => {
    const nothing = {
      status: undefined, beat: undefined, proof: undefined, paint: undefined, clock: undefined,
      answers: [], complaint: undefined,
      update: undefined,
    };
    assert.deepEqual(read(data), { ...nothing, ...want });
  });
}
