// edits.js decides what a form control shows: what the server says, unless a person has changed it
// since. A morph sets attributes, which are what the server says and what a form is reset to; what
// a control shows is another matter as soon as it was touched, by a person or by a script.

/**
 * What is used of an element for input: input, select or textarea.
 * @typedef {object} Control
 * @property {string} type
 * @property {string} name
 * @property {string} value
 * @property {string} [defaultValue]
 * @property {boolean} [checked]
 * @property {boolean} [defaultChecked]
 * @property {boolean} [indeterminate]
 * @property {Iterable<Choice>} [options] - of a select
 * @property {number} [size]
 * @property {unknown} form
 * @property {{ getElementsByName(name: string): Iterable<any> }} ownerDocument
 * @property {boolean} isConnected
 *
 * @typedef {object} Choice
 * @property {string} value
 * @property {boolean} selected
 * @property {boolean} defaultSelected
 * @property {boolean} disabled
 *
 * What a control shows, or is to show. For radio buttons that is the same for all of a group.
 * @typedef {string | boolean | undefined} Shown
 */

const MARK = '\0'; // before each value of a select; HTML has no such character

/**
 * The radio buttons of a group; of what is none, itself.
 * @param {Control} el
 * @returns {Control[]}
 */
export function group(el) {
  if (el.type !== 'radio' || !el.name) return [el];
  return [...el.ownerDocument.getElementsByName(el.name)]
    .filter(({ type, form }) => type === 'radio' && form === el.form);
}

/**
 * What a control shows.
 * @param {Control} el
 * @returns {Shown}
 */
export function look(el) {
  if (el.options) return values([...el.options].filter(({ selected }) => selected));
  if (el.type === 'radio') return group(el).find(({ checked }) => checked)?.value;
  return el.type === 'checkbox' ? el.checked : el.value;
}

/**
 * What the server says that it should show.
 * @param {Control} el
 * @returns {Shown}
 */
export function said(el) {
  if (el.options) {
    const on = [...el.options].filter(({ defaultSelected }) => defaultSelected);
    if (el.type === 'select-multiple') return values(on);
    const isList = Number(el.size) > 1; // else it always shows one
    const first = isList ? [] : [...el.options].filter(({ disabled }) => !disabled).slice(0, 1);
    return values([...first, ...on].slice(-1));
  }
  if (el.type === 'radio') return group(el).filter(({ defaultChecked }) => defaultChecked).at(-1)?.value;
  return el.type === 'checkbox' ? el.defaultChecked : el.defaultValue;
}

/**
 * Has a control show something.
 * @param {Control} el
 * @param {Shown} to
 */
function show(el, to) {
  if (el.options) {
    const on = String(to).split(MARK).slice(1);
    for (const option of el.options) option.selected = on.includes(option.value);
  } else if (el.type === 'radio') {
    el.checked = el.value === to;
  } else if (el.type === 'checkbox') {
    el.checked = Boolean(to);
    el.indeterminate = false;
  } else {
    el.value = String(to);
  }
}

/** @param {Choice[]} options */
function values(options) {
  return options.map(({ value }) => MARK + value).join('');
}

/** @param {Control} el */
function isText(el) {
  return !/^(checkbox|radio|range|color|select-.*)$/.test(el.type);
}

/** The controls that a person has changed, and what has become of that. */
export class Edits {
  /** @type {Map<Control, Shown>} with what they show by the person's wish */
  #edited = new Map();
  /** @type {Map<string, [Control, Shown][]>} by op, what was sent with it */
  #sent = new Map();

  /**
   * A person has changed a control.
   * @param {Control} el
   */
  edit(el) {
    for (const one of group(el)) this.#edited.set(one, look(one));
  }

  /**
   * What a person has changed counts no more: the form is reset. What is changed after that is
   * another matter than what was sent, even when it is the same.
   * @param {Iterable<Control>} controls
   */
  forget(controls) {
    const reset = new Set(controls);
    for (const el of reset) this.#edited.delete(el);
    for (const [op, sent] of this.#sent) this.#sent.set(op, sent.filter(([el]) => !reset.has(el)));
  }

  /** A morph begins. Scripts may have had a hand in what a person has typed. */
  hold() {
    for (const el of this.#edited.keys()) {
      if (el.isConnected) this.#edited.set(el, look(el));
      else this.#edited.delete(el);
    }
  }

  /**
   * A morph is over: each of the controls shows again what a person has made of it, or what the
   * server says.
   * @param {Control[]} controls
   */
  settle(controls) {
    for (const el of controls) {
      if (this.#edited.get(el) === said(el)) this.#edited.delete(el); // they agree
      put(el, this.#edited.has(el) ? this.#edited.get(el) : said(el));
    }
    // A choice may be there no more.
    for (const el of controls) if (this.#edited.has(el) && look(el) !== this.#edited.get(el)) this.#follow(el);
  }

  /**
   * A page was loaded. The browser may have put back what was in the controls before: text that a
   * person has typed stays, a choice is the server's.
   * @param {Control[]} controls
   */
  restored(controls) {
    for (const el of controls) {
      if (isText(el) && look(el) !== said(el)) this.#edited.set(el, look(el));
    }
    this.settle(controls);
  }

  /**
   * What a person has changed is sent.
   * @param {string} op
   * @param {Iterable<Control>} controls
   */
  send(op, controls) {
    /** @type {[Control, Shown][]} */
    const edited = [...controls].filter((el) => this.#edited.has(el)).map((el) => [el, look(el)]);
    if (edited.length) this.#sent.set(op, edited);
  }

  /**
   * An op has its answer. What was sent with it, and not changed since, is the server's again; text
   * that was refused stays, to be mended.
   * @param {string} op
   * @param {boolean} counted
   */
  answer(op, counted) {
    const done = (this.#sent.get(op) ?? []).filter(([el, was]) => look(el) === was && (counted || !isText(el)));
    for (const [el] of done) this.#edited.delete(el);
    for (const [el] of done) this.#follow(el);
    this.#sent.delete(op);
  }

  /** @param {Control} el */
  #follow(el) {
    this.#edited.delete(el);
    put(el, said(el));
  }
}

/**
 * @param {Control} el
 * @param {Shown} to
 */
function put(el, to) {
  if (look(el) !== to) show(el, to);
}
