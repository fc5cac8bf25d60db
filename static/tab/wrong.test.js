import assert from 'node:assert/strict';
import { test } from 'node:test';

import { wrong } from './wrong.js';

const has = (/** @type {string} */ name) => ['name', 'email', 'a-b_9'].includes(name);

test('each field has its line', () => {
  const said = wrong('email: no: not so\nname: taken', has) ?? [];
  assert.deepEqual([...said], [['email', 'no: not so'], ['name', 'taken']]);
  assert.deepEqual([...wrong('a-b_9: x', has) ?? []], [['a-b_9', 'x']]);
});

test('what is not of the form is for the whole page', () => {
  for (const reason of ['', 'no', 'team: x', 'name: x\nteam: y', 'name:x', 'account 1: x', ' name: x', 'name: x\n']) {
    assert.equal(wrong(reason, has), null, reason);
  }
});
