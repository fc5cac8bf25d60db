import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brief, face } from './face.js';

test('a count is brief', () => {
  for (const [count, want] of [
    ['0', '0'], ['42', '42'], ['-7', '-7'], ['999', '999'], ['1000', '1k'], ['12480', '12k'],
    ['999999', '999k'], ['1000000', '1M'],
    ['9223372036854775807', '9E'], ['-9223372036854775808', '-9E'], ['', ''], ['x', ''],
  ]) assert.equal(brief(count), want, count);
});

test('an icon has the count, and its ground says how it is', () => {
  assert.match(face('42', 'live'), />42<\/text>/);
  assert.notEqual(face('42', 'live'), face('42', 'offline'));
  assert.notEqual(face('42', 'degraded'), face('42', 'offline'));
  assert.match(face('', 'live'), /<path/);
});

test('nothing in it is markup that was not meant', () => {
  assert.doesNotMatch(face('<script>', 'x"><script>'), /script/);
});
