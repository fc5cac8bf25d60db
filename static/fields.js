// fields.js reads what is in forms.

import { input } from './tab/input.js';

/**
 * @import { Cast } from './tab/casts.js'
 *
 * @typedef {HTMLInputElement | HTMLButtonElement} Control
 */

const SECRET = '[type=password],[data-secret],[data-secret] *';

/**
 * The form of a control; of a form, itself.
 * @param {Element} el
 * @returns {HTMLFormElement | null}
 */
export const formOf = (el) => /** @type {HTMLInputElement} */ (el).form ?? el.closest('form');

/**
 * Those that are secret of what is sent together.
 * @param {Element} el - a form, or a control
 */
const secrets = (el) => [el, ...formOf(el)?.elements ?? []].filter((one) => one.matches(SECRET));

/**
 * Whether what a form has must not be kept.
 * @param {Element} el - a form, or a control
 */
export const isSecret = (el) => secrets(el).length > 0;

/**
 * @param {Element | null} [el]
 * @returns {[string, unknown][]}
 */
function own(el) {
  const { name, value, type, checked } = /** @type {HTMLInputElement} */ (el ?? {});
  return name && (checked || !/^(checkbox|radio)$/.test(type)) ? [[name, value]] : [];
}

/**
 * The fields that are sent: texts and files.
 * @param {Element} el - a form, or a control
 * @param {Element | null} [submitter] - the button that was pressed
 */
export function fieldsOf(el, submitter) {
  const form = formOf(el);
  return form ? [...new FormData(form), ...own(submitter)] : own(el);
}

/**
 * What is to be cast when something was changed. What is secret is not.
 * @param {Element} el
 * @returns {Cast | undefined}
 */
export function castOf(el) {
  /** @type {HTMLElement | null} */
  const of = el.closest('[data-cast]');
  const topic = /** @type {HTMLElement | null} */ (of?.closest('[data-topic]'))?.dataset.topic;
  if (!of || !topic || el.matches(SECRET)) return;
  const hidden = secrets(of).map((one) => one.getAttribute('name'));
  const fields = of === formOf(el) ? fieldsOf(of).filter(([name]) => !hidden.includes(name)) : own(el);
  const values = input(fields);
  if (values) return { cast: of.dataset.cast ?? '', t: topic, in: values };
}
