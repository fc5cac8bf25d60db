import assert from 'node:assert/strict';
import { test } from 'node:test';

import { GRACE, look, WAITING } from './badge.js';

const well = { downFor: null, age: null, hidden: false, server: 'live', shown: 'live' };

/**
 * @typedef {Parameters<typeof look>[0]} Now
 * @typedef {ReturnType<typeof look>} Look
 *
 * @type {[name: string, now: Partial<Now>, want: Partial<Look>][]}
 */
const cases = [
  ['what the server says of itself, while there is a connection', { server: 'degraded' }, { state: 'degraded' }],
  ['what it showed, when a connection is lost for a moment',
    { downFor: GRACE - 1, server: 'degraded' }, { state: 'live', due: 1 }],
  ['offline, when that goes on', { downFor: GRACE }, { state: 'offline' }],
  ['not that it is in step, while nobody sees the page', { downFor: 60_000, hidden: true }, { state: 'connecting' }],
  ['neither, when a hidden page comes back', { downFor: 0, shown: 'connecting' }, { state: 'connecting', due: GRACE }],
  ['offline still, while the page is hidden',
    { downFor: 60_000, hidden: true, shown: 'offline' }, { state: 'offline' }],
  ['no waiting, when a click is young', { age: WAITING - 1 }, { waiting: false, due: 1 }],
  ['that a click waits', { age: WAITING }, { waiting: true }],
  ['first what is due first', { downFor: 100, age: 500 }, { due: WAITING - 500 }],
  ['connecting, before anything is known',
    { downFor: 0, server: 'connecting', shown: 'connecting' }, { state: 'connecting', due: GRACE }],
  ['connecting, as long as nothing is known',
    { downFor: 60_000, server: 'connecting', shown: 'connecting' }, { state: 'connecting' }],
  ['connecting, when a socket has opened and nobody has spoken',
    { server: 'connecting', shown: 'connecting' }, { state: 'connecting' }],
];

for (const [name, now, want] of cases) {
  test(`the page shows ${name}`, () => {
    const all = { state: 'live', waiting: false, due: Infinity, ...want };
    assert.deepEqual(look({ ...well, ...now }), all);
  });
}
