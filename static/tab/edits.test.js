import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Edits, group, look, said } from './edits.js';

/**
 * @import { Choice, Control } from './edits.js'
 *
 * A kind of control: how to make one that the server says a value of, how the server says another,
 * as a morph does, and how a person changes it.
 * @typedef {object} Kind
 * @property {string} name
 * @property {boolean} text
 * @property {(value: string) => Control} make
 * @property {(el: Control, value: string) => void} say
 * @property {(el: Control, value: string) => void} change
 * @property {(el: Control) => string} shown
 */

const form = { name: 'the form' };

/**
 * @param {string} type
 * @param {Partial<Control>} rest
 * @param {Control[]} [named] - those of its name
 * @returns {Control}
 */
function control(type, rest, named = []) {
  return {
    type, name: 'field', value: '', form, isConnected: true,
    ownerDocument: { getElementsByName: (name) => named.filter((el) => el.name === name) },
    ...rest,
  };
}

/**
 * @param {string} type
 * @returns {Kind}
 */
function text(type) {
  return {
    name: type, text: !['range', 'color'].includes(type),
    make: (value) => control(type, { value, defaultValue: value }),
    say(el, value) { el.defaultValue = value; },
    change(el, value) { el.value = value; },
    shown: (el) => el.value,
  };
}

/** @type {Kind} */
const checkbox = {
  name: 'checkbox', text: false,
  make: (value) => control('checkbox', { value: 'on', checked: value === 'b', defaultChecked: value === 'b' }),
  say(el, value) { el.defaultChecked = value === 'b'; },
  change(el, value) { el.checked = value === 'b'; },
  shown: (el) => (el.checked ? 'b' : 'a'),
};

// The first of a group of three.
/** @type {Kind} */
const radio = {
  name: 'radio', text: false,
  make(value) {
    /** @type {Control[]} */
    const named = [];
    for (const own of ['a', 'b', 'c']) {
      named.push(control('radio', { value: own, checked: own === value, defaultChecked: own === value }, named));
    }
    named.push(control('radio', { value: 'd', checked: true, form: null }, named));
    return named[0];
  },
  say: (el, value) => group(el).forEach((one) => { one.defaultChecked = one.value === value; }),
  change: (el, value) => group(el).forEach((one) => { one.checked = one.value === value; }),
  shown: (el) => group(el).find(({ checked }) => checked)?.value ?? '',
};

/**
 * @param {string} value
 * @param {string} type
 */
function select(value, type) {
  /** @type {Choice[]} */
  const options = ['', 'a', 'b', 'c'].map((own) => (
    { value: own, selected: own === value, defaultSelected: own === value, disabled: own === '' }
  ));
  return control(type, { options });
}

/**
 * @param {Control} el
 * @returns {Choice[]}
 */
const choices = (el) => [...(el.options ?? [])];

/**
 * @param {string} type
 * @returns {Kind}
 */
const chosen = (type) => ({
  name: type, text: false,
  make: (value) => select(value, type),
  say: (el, value) => choices(el).forEach((one) => { one.defaultSelected = one.value === value; }),
  change: (el, value) => choices(el).forEach((one) => { one.selected = one.value === value; }),
  shown: (el) => choices(el).filter((one) => one.selected).map((one) => one.value).join(),
});

const kinds = [
  checkbox, radio, chosen('select-one'), chosen('select-multiple'),
  ...['text', 'search', 'email', 'url', 'tel', 'password', 'number', 'date', 'time', 'month', 'week',
    'datetime-local', 'range', 'color', 'textarea'].map(text),
];

for (const { name, text: isText, make, say, change, shown } of kinds) {
  const setUp = () => {
    const edits = new Edits();
    const el = make('a');
    return {
      edits,
      el,
      /** @param {string} value - of the server's next frame */
      frame(value) {
        edits.hold();
        say(el, value);
        edits.settle(group(el));
      },
      /** @param {string} value */
      person(value) {
        change(el, value);
        edits.edit(el);
      },
    };
  };

  test(`${name}: shows what the server says`, () => {
    const it = setUp();
    it.frame('b');
    assert.equal(shown(it.el), 'b');
    it.frame('a');
    assert.equal(shown(it.el), 'a');
  });

  test(`${name}: follows the server also where somebody has touched it before`, () => {
    const it = setUp();
    it.person('b');
    it.frame('b'); // they agree
    it.frame('a');
    assert.equal(shown(it.el), 'a');
  });

  test(`${name}: stays as a person has left it, whatever comes`, () => {
    const it = setUp();
    it.person('b');
    it.frame('a');
    assert.equal(shown(it.el), 'b');
    change(it.el, 'b');
    it.edits.hold();
    say(it.el, 'a');
    change(it.el, 'a'); // as htmx does with a control that has lost the focus
    it.edits.settle(group(it.el));
    assert.equal(shown(it.el), 'b');
  });

  test(`${name}: is the server's again when what was sent is counted`, () => {
    const it = setUp();
    it.person('b');
    it.edits.send('op', group(it.el));
    it.frame('a'); // somebody else was later
    assert.equal(shown(it.el), 'b');
    it.edits.answer('op', true);
    assert.equal(shown(it.el), 'a');
    it.frame('b');
    assert.equal(shown(it.el), 'b');
  });

  test(`${name}: keeps what a person has changed after it was sent`, () => {
    const it = setUp();
    it.person('b');
    it.edits.send('op', group(it.el));
    it.person('c');
    const before = shown(it.el);
    it.edits.answer('op', true);
    it.frame('a');
    assert.equal(shown(it.el), name === 'checkbox' ? 'a' : before);
  });

  test(`${name}: ${isText ? 'stays' : 'goes back'} when what was sent is refused`, () => {
    const it = setUp();
    it.person('b');
    it.edits.send('op', group(it.el));
    it.edits.answer('op', false);
    assert.equal(shown(it.el), isText ? 'b' : 'a');
  });

  test(`${name}: is the server's again when its form is reset`, () => {
    const it = setUp();
    it.person('b');
    it.edits.forget(group(it.el));
    it.frame('a');
    assert.equal(shown(it.el), 'a');
  });

  test(`${name}: ${isText ? 'is a draft' : 'is the server\'s'} when the browser has put it back after a reload`, () => {
    const it = setUp();
    change(it.el, 'b');
    it.edits.restored(group(it.el));
    it.frame('a');
    assert.equal(shown(it.el), isText ? 'b' : 'a');
  });
}

test('a group of radio buttons moves together', () => {
  const edits = new Edits();
  const el = radio.make('a');
  radio.change(el, 'b');
  edits.edit(group(el)[1]);
  for (const value of ['a', 'c', 'a']) {
    edits.hold();
    radio.say(el, value);
    edits.settle(group(el));
    assert.equal(radio.shown(el), 'b', `while the server says ${value}`);
  }
  assert.equal(group(el).length, 3, 'and none of another form belongs to it');
});

test('radio buttons without a name are no group', () => {
  const one = control('radio', { name: '', checked: true, value: 'x' });
  assert.deepEqual(group(one), [one]);
  assert.equal(look(one), 'x');
});

test('a tick that follows the server is no half tick any more', () => {
  const edits = new Edits();
  const el = checkbox.make('a');
  el.indeterminate = true;
  edits.settle([el]);
  assert.equal(el.indeterminate, true, 'the server has said nothing new');
  checkbox.say(el, 'b');
  edits.settle([el]);
  assert.equal(el.indeterminate, false);
});

test('a select of one shows its first choice that can be chosen, if the server chooses none', () => {
  const el = select('none', 'select-one');
  assert.equal(said(el), said(select('a', 'select-one')));
  el.size = 4;
  assert.equal(look(el), said(el), 'and a list of several shows none');
});

test('an empty value is a choice, and none is another', () => {
  assert.notEqual(look(select('', 'select-multiple')), look(select('none', 'select-multiple')));
});

test('a choice that is not there any more is the server\'s', () => {
  const edits = new Edits();
  const el = select('a', 'select-one');
  const kind = chosen('select-one');
  kind.change(el, 'c');
  edits.edit(el);
  edits.hold();
  el.options = choices(el).filter(({ value }) => value !== 'c');
  edits.settle([el]);
  assert.equal(kind.shown(el), 'a');
});

test('what has left the page is forgotten', () => {
  const edits = new Edits();
  const kind = text('text');
  const el = kind.make('a');
  kind.change(el, 'b');
  edits.edit(el);
  el.isConnected = false;
  edits.hold();
  edits.settle([el]);
  assert.equal(kind.shown(el), 'a');
});

test('of a form only what was changed is sent as that', () => {
  const edits = new Edits();
  const kind = text('text');
  const el = kind.make('a');
  edits.send('op', [el]);
  kind.change(el, 'b'); // by a script
  edits.answer('op', true);
  assert.equal(kind.shown(el), 'b');
});

test('what is typed after a reset stays when what was sent before is answered, even if it is the same', () => {
  const edits = new Edits(), el = text('text').make('');
  el.value = 'hello';
  edits.edit(el);
  edits.send('op', [el]);
  el.value = ''; // the form is reset
  edits.forget([el]);
  el.value = 'hello';
  edits.edit(el);
  edits.answer('op', true);
  assert.equal(el.value, 'hello');
});
