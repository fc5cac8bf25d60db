// written.js empties the fields of a form when the outbox has what was written there: it is safe,
// and the next is typed into an empty field however slow the answer is. What is refused is given
// back, unless something else is being written.

import { formOf } from './fields.js';

/** @import { Op } from './tab/outbox.js' */

const FORMS = 'form[data-preview],form[data-reset]';
const TEXT = 'textarea,input:not([type=hidden],[type=checkbox],[type=radio],[type=range],[type=color],[type=file])';

/**
 * Forms that may have sent an op.
 * @param {Op} op
 * @returns {HTMLFormElement[]}
 */
export function formsOf({ entry }) {
  const forms = /** @type {HTMLFormElement[]} */ ([...document.querySelectorAll(FORMS)]);
  return forms.filter((form) => form.dataset.do === entry.do &&
    /** @type {HTMLElement | null} */ (form.closest('[data-topic]'))?.dataset.topic === entry.topic);
}

/**
 * @param {HTMLFormElement} form
 * @param {Op} op
 */
function giveBack(form, { entry }) {
  const fields = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll(TEXT)]);
  if (fields.some(({ value, defaultValue }) => value !== defaultValue)) return;
  for (const field of fields) {
    const value = entry.in[field.name];
    if (typeof value !== 'string' || !value) continue;
    field.value = value;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }
}

/**
 * Closes what the form of an item was opened in, and goes back to what opens it.
 * @param {Element | null | undefined} form
 */
function fold(form) {
  const details = form?.closest('[data-list] details');
  if (!(details instanceof HTMLDetailsElement)) return;
  const was = details.contains(document.activeElement);
  details.open = false;
  if (was) details.querySelector('summary')?.focus();
}

/** Looks after the forms of the page. */
export function watch() {
  /** @type {HTMLElement | null} */
  const root = document.querySelector('[hx-ws\\:connect]');
  root?.addEventListener('op:kept', ({ detail: { sender } }) => {
    const form = sender && formOf(sender);
    if (form?.matches(FORMS)) form.reset();
    fold(form);
  });
  root?.addEventListener('op:answered', ({ detail: { op, answer } }) => {
    if (answer?.verdict === 'refused') formsOf(op).slice(0, 1).forEach((form) => giveBack(form, op));
  });
}
