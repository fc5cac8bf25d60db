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

/** @type {[name: string, at: import('./message.js').At, base: number, reaches: boolean][]} */
const bases = [
  ['changes since the version that is shown', [5, 8], 7, true],
  ['changes since an older one: what is known is in them again', [5, 8], 3, true],
  ['changes that lead to the version that is shown', [5, 7], 6, true],
  ['changes since a version that was missed', [5, 9], 8, false],
  ['changes of another epoch, whatever their base', [6, 8], 7, false],
  ['changes of an epoch that is over', [4, 8], 7, false],
];

for (const [name, at, base, reaches] of bases) {
  test(`${reaches ? 'can' : 'can not'} be shown: ${name}`, () => {
    const versions = new Versions();
    versions.show('t', [5, 7]);
    assert.equal(versions.reaches('t', at, base), reaches);
  });
}

test('changes of a topic of which nothing was shown can not be shown', () => {
  assert.equal(new Versions().reaches('t', [5, 1], 0), false);
});
