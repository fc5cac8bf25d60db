import assert from 'node:assert/strict';
import { test } from 'node:test';

import { input } from './input.js';

test('fields are all that the form has, whatever they are called', () => {
  const fields = ['age', 'op', 'seen', 't', 'do', 'in', 'headers', '_csrf', 'constructor', '__proto__'];
  const got = input(fields.map((name) => [name, `of ${name}`]));
  assert.deepEqual(Object.keys(got ?? {}).sort(), [...fields].sort());
  const text = JSON.stringify(got);
  for (const name of fields) assert.ok(text.includes(`"${name}":"of ${name}"`), name);
  assert.equal(Object.getPrototypeOf(got), Object.prototype);
});

test('a field with several values is an array of them, in their order', () => {
  assert.deepEqual(input([['a', '2'], ['b', ''], ['a', '1']]), { a: ['2', '1'], b: '' });
});

test('a file is refused, and a field for one may be empty', () => {
  assert.equal(input([['a', '1'], ['f', { name: 'x.txt', size: 0 }]]), null);
  assert.equal(input([['f', { name: '', size: 3 }]]), null);
  assert.deepEqual(input([['a', '1'], ['f', { name: '', size: 0 }]]), { a: '1' });
});
