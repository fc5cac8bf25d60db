import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { bytesOf, opName } from './name.js';

test('an op has the name that the store gives it', () => {
  const bytes = bytesOf('QUJDREVGR0hJSktMTU5PUA');
  assert.equal(new TextDecoder().decode(bytes), 'ABCDEFGHIJKLMNOP');
  const digest = new Uint8Array(createHash('sha256').update(bytes).digest()).buffer;
  assert.equal(opName(digest, 1), '5-i4nCch0pDM-1');
  assert.equal(opName(digest, 36 * 36 + 35), '5-i4nCch0pDM-10z');
});

test('a client may have each of the characters', () => {
  assert.deepEqual([...bytesOf('-_-_-_-_-_-_-_-_-_-_-w')].slice(0, 3), [251, 255, 191]);
});
