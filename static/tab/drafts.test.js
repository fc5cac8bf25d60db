import assert from 'node:assert/strict';
import { test } from 'node:test';

import { draftOf, isKept, linesIn, linesOf, putBack } from './drafts.js';

/** @import { Kept } from './drafts.js' */

const form = { name: 'the form' };

/**
 * @param {string} type
 * @param {Partial<Kept> & { upload?: boolean, secret?: boolean }} rest
 * @param {Kept[]} [named]
 * @returns {Kept}
 */
function control(type, rest, named = []) {
  const { upload = false, secret = false } = rest;
  return {
    type, name: 'field', value: '', defaultValue: '', form, isConnected: true, autocomplete: '',
    ownerDocument: { getElementsByName: (name) => named.filter((el) => el.name === name) },
    matches: (selector) => selector.split(',').some((one) => (
      one === `[type=${type}]` || (upload && one === '[data-upload] *') || (secret && one === '[data-secret]'))),
    ...rest,
  };
}

/** @param {string} chosen */
function select(chosen) {
  const options = ['', 'a', 'b'].map((value) => (
    { value, selected: value === chosen, defaultSelected: value === '', disabled: false }));
  const el = control('select-one', { name: 'select', options });
  Object.defineProperty(el, 'value', { get: () => options.find(({ selected }) => selected)?.value ?? '' });
  return el;
}

/** @param {string} on */
function radios(on) {
  /** @type {Kept[]} */
  const all = [];
  for (const value of ['a', 'b']) {
    const rest = { name: 'radio', value, checked: value === on, defaultChecked: false };
    all.push(control('radio', rest, all));
  }
  return all;
}

/** @param {{ text?: string, box?: boolean, choice?: string, radio?: string }} how */
function filled({ text = '', box = false, choice = '', radio = '' }) {
  return [
    control('text', { name: 'text', value: text }),
    control('checkbox', { name: 'box', value: 'on', checked: box, defaultChecked: false }),
    select(choice), ...radios(radio),
  ];
}

/** @param {Kept[]} controls */
const looks = (controls) => controls.map((el) => (/radio|checkbox/.test(el.type) ? el.checked : el.value));

const ALL = { text: 'typed', box: true, choice: 'b', radio: 'a' };

test('what a person has changed comes back into a new page', () => {
  const page = filled({});
  assert.equal(putBack(page, linesOf(draftOf(filled(ALL)))).length, 4);
  assert.deepEqual(looks(page), looks(filled(ALL)));
});

test('a form that nobody has touched has no draft', () => {
  assert.equal(draftOf(filled({})), '');
});

test('what was typed since stays', () => {
  const page = filled({ text: 'newer', radio: 'b' });
  putBack(page, linesOf(draftOf(filled(ALL))));
  assert.deepEqual(looks(page), looks(filled({ ...ALL, text: 'newer', radio: 'b' })));
});

test('what was sent comes back when it is refused', () => {
  const page = filled({});
  putBack(page, linesIn(page, { text: 'typed', box: 'on', select: 'b', radio: 'a', other: 'x' }));
  assert.deepEqual(looks(page), looks(filled(ALL)));
});

test('of several values of one name each has its own', () => {
  const boxes = ['a', 'b', 'c'].map((value) => (
    control('checkbox', { name: 'boxes', value, checked: false, defaultChecked: false })));
  putBack(boxes, linesIn(boxes, { boxes: ['a', 'c'] }));
  assert.deepEqual(looks(boxes), [true, false, true]);
});

test('secrets are never kept', () => {
  for (const el of [
    control('password', {}), control('text', { secret: true }), control('file', {}), control('submit', {}),
    control('hidden', {}), control('text', { name: '' }),
    ...['cc-number', 'billing cc-csc', 'one-time-code', 'current-password', 'new-password', 'section-a new-password']
      .map((autocomplete) => control('text', { autocomplete })),
  ]) {
    el.value = 'x';
    assert.equal(isKept(el), false, `${el.type} ${el.autocomplete}`);
    assert.equal(draftOf([el]), '');
    assert.equal(putBack([{ ...el, value: '' }], [['field', '', 'x']]).length, 0);
  }
  for (const autocomplete of ['', 'off', 'email', 'nickname', 'shipping street-address']) {
    assert.equal(isKept(control('text', { autocomplete })), true, autocomplete);
  }
});

test('the id of a file that was sent is kept, and nothing else that is hidden', () => {
  const id = control('hidden', { name: 'picture', value: 'abc', upload: true });
  Object.defineProperty(id, 'defaultValue', { get: () => id.value }); // as in browsers
  const lines = linesOf(draftOf([id]));
  assert.deepEqual(lines, [['picture', '', 'abc']]);
  id.value = '';
  putBack([id], lines);
  assert.equal(id.value, 'abc');
});

test('a draft has a bound, and what is none has no lines', () => {
  assert.equal(draftOf(filled({ text: 'x'.repeat(20_001) })), '');
  for (const foreign of [null, '', 'x', '{}', '[1,2]', '[["a"]]', '"a"', 'null']) {
    assert.deepEqual(linesOf(foreign), []);
  }
});
