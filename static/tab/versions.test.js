import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Versions } from './versions.js';

/** @type {[name: string, at: import('./message.js').At, older: boolean][]} */
const cases = [
  ['a lower version is older', [5, 6], true],
  ['the same version is not older: another part of the page may need it', [5, 7], false],
  ['a higher version is newer', [5, 8], false],
  ['a lower epoch is older, whatever its version', [4, 900], true],
  ['a higher epoch is newer, whatever its version', [6, 0], false],
];

for (const [name, at, older] of cases) {
  test(name, () => {
    const versions = new Versions();
    versions.show('t', [5, 7]);
    assert.equal(versions.isOlder('t', at), older);
  });
}

test('a topic of which nothing was shown takes any state', () => {
  const versions = new Versions();
  assert.deepEqual(versions.of('t'), [0, 0]);
  assert.equal(versions.isOlder('t', [0, 0]), false);
});

test('topics have versions of their own', () => {
  const versions = new Versions();
  versions.show('a', [9, 9]);
  versions.show('b', [1, 1]);
  assert.equal(versions.isOlder('b', [1, 2]), false);
  assert.deepEqual(versions.of('a'), [9, 9]);
});
