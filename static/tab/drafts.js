// drafts.js decides what of a form is kept while a person fills it in, and what is put back.

import { look, said } from './edits.js';

/**
 * @import { Control } from './edits.js'
 *
 * @typedef {Control & { disabled?: boolean, readOnly?: boolean, autocomplete?: string,
 *   matches(selector: string): boolean }} Kept
 *
 * What a draft has of each control: its name, its value if it is one of several of this name, and
 * what it shows.
 * @typedef {[name: string, of: string, shown: string | boolean]} Line
 */

/** The longest draft, in characters. */
const MAX = 20_000;

// What is never kept, whatever a page says. A one-time code is used up, and cards and passwords are
// for managers of passwords.
const NEVER = '[type=password],[type=file],[data-secret],[data-secret] *';
const SECRET = /^(cc-.*|one-time-code|(current|new)-password)$/;

/**
 * Whether a control is kept: it has a name, and nothing that must not lie about. What is hidden is
 * the page's, but for what stands for a file.
 * @param {Kept} el
 */
export function isKept(el) {
  if (!el.name || /^(submit|button|reset|image)$/.test(el.type) || el.matches(NEVER)) return false;
  if (el.type === 'hidden' && !el.matches('[data-upload] *')) return false;
  return !(el.autocomplete ?? '').split(' ').some((token) => SECRET.test(token));
}

/** @param {Kept} el */
const several = ({ type, value }) => (/^(checkbox|radio)$/.test(type) ? value : '');

/** @param {Kept} el */
const shown = (el) => (/^(checkbox|radio)$/.test(el.type) ? Boolean(el.checked) : String(look(el) ?? ''));

/**
 * The draft of a form: what a person has changed in it. "": nothing, or too much.
 * @param {Kept[]} controls
 */
export function draftOf(controls) {
  /** @type {Line[]} */
  const lines = controls.filter((el) => isKept(el) && (look(el) !== said(el) || (el.type === 'hidden' && el.value)))
    .map((el) => [el.name, several(el), shown(el)]);
  const text = lines.length ? JSON.stringify(lines) : '';
  return text.length > MAX ? '' : text;
}

/**
 * Reads a draft. One that is none has no lines.
 * @param {string | null} text
 * @returns {Line[]}
 */
export function linesOf(text) {
  try {
    const lines = JSON.parse(text ?? '[]');
    if (Array.isArray(lines)) return lines.filter((line) => Array.isArray(line) && line.length === 3);
  } catch {
    // It is foreign.
  }
  return [];
}

/**
 * What a form showed when it was sent.
 * @param {Kept[]} controls
 * @param {Record<string, string | string[]>} input - of its op
 * @returns {Line[]}
 */
export function linesIn(controls, input) {
  return controls.filter((el) => el.name in input || several(el)).map((el) => {
    const values = [input[el.name] ?? []].flat();
    if (several(el)) return [el.name, several(el), values.includes(el.value)];
    if (el.type === 'select-multiple') return [el.name, '', values.map((value) => `\0${value}`).join('')];
    return [el.name, '', el.options ? `\0${values[0]}` : values[0]];
  });
}

/**
 * Puts lines back into the controls of a form that are as the server has them: what somebody has
 * typed into since stays.
 * @param {Kept[]} controls
 * @param {Line[]} lines
 * @returns {Kept[]} those that were changed
 */
export function putBack(controls, lines) {
  const free = controls.filter((el) => isKept(el) && look(el) === said(el) && (el.type !== 'hidden' || !el.value));
  return free.filter((el) => {
    const line = lines.find(([name, of]) => name === el.name && of === several(el));
    if (!line || line[2] === shown(el)) return false;
    set(el, line[2]);
    return true;
  });
}

/**
 * @param {Kept} el
 * @param {string | boolean} to
 */
function set(el, to) {
  if (typeof to === 'boolean') {
    el.checked = to;
  } else if (el.options) {
    const on = to.split('\0').slice(1);
    for (const option of el.options) option.selected = on.includes(option.value);
  } else {
    el.value = to;
  }
}
