// forms.js is for pages with forms that a person fills in (data-once): what is typed outlives the
// page until it is on its way, a form is sent once however often it is pressed, and what is wrong
// with a field stands beside it. live.js keeps and sends such a form as it does everything else.
// What is kept is in this tab's storage alone: see tab/drafts.js.

import { draftOf, linesIn, linesOf, putBack } from './tab/drafts.js';
import { wrong } from './tab/wrong.js';
import { Uploads } from './upload.js';

/**
 * @import { Kept } from './tab/drafts.js'
 * @import { Op } from './tab/outbox.js'
 */

const FORM = 'form[data-once]';

const root = /** @type {HTMLElement} */ (document.querySelector('[hx-ws\\:connect]'));

/** @param {HTMLFormElement} form */
const controls = (form) => /** @type {Kept[]} */ (/** @type {unknown} */ ([...form.elements]));

/** @param {Element} form */
const topicOf = (form) => /** @type {HTMLElement} */ (form.closest('[data-topic]')).dataset.topic ?? '';

/** @param {HTMLElement} form */
const keyOf = (form) => `draft ${root.dataset.user} ${topicOf(form)} ${form.dataset.do}`;

/**
 * The forms of an op, or all.
 * @param {Op['entry']} [of]
 * @returns {HTMLFormElement[]}
 */
function forms(of) {
  /** @type {NodeListOf<HTMLFormElement>} */
  const all = root.querySelectorAll(FORM);
  return [...all].filter((form) => !of || (topicOf(form) === of.topic && form.dataset.do === of.do));
}

// ---- drafts ----

/**
 * Keeps the draft of a form; "" removes it.
 * @param {HTMLFormElement} form
 * @param {string} draft
 */
function keep(form, draft) {
  try {
    if (draft) sessionStorage.setItem(keyOf(form), draft);
    else sessionStorage.removeItem(keyOf(form));
  } catch {
    // Storage is blocked, or full.
  }
}

/** @param {HTMLFormElement} form */
function kept(form) {
  try {
    return sessionStorage.getItem(keyOf(form));
  } catch {
    return null;
  }
}

/**
 * A script has changed controls as a person would.
 * @param {Kept[]} changed
 */
function tell(changed) {
  for (const el of /** @type {any[]} */ (changed)) el.dispatchEvent(new Event('input', { bubbles: true }));
}

// ---- one form is one op ----

/**
 * Forms whose op waits, and what was their draft when it was sent: null when that is settled.
 * @type {Map<HTMLFormElement, { op: Op, draft: string | null }>}
 */
const sent = new Map();

/** @param {HTMLFormElement} form */
function waits(form) {
  return (root.post?.waiting(topicOf(form)) ?? []).some(({ entry }) => entry.do === form.dataset.do);
}

/** @param {SubmitEvent} e */
function submitting(e) {
  const form = /** @type {HTMLFormElement} */ (e.target);
  if (!form.matches(FORM)) return;
  if (!waits(form) && !uploads.holds(form)) return;
  e.preventDefault();
  e.stopImmediatePropagation();
}

// ---- what is wrong ----

/** @type {WeakMap<Element, string>} what a refusal says, which no check unsays */
const refused = new WeakMap();

/** @type {WeakMap<Element, string>} what is wrong with a file, of which no check knows */
const ofFiles = new WeakMap();

/**
 * @param {Element} form
 * @param {string} name
 */
const placeOf = (form, name) => form.querySelector(`#error-${CSS.escape(name)}`);

/**
 * The control that an error is of.
 * @param {Element} place
 * @returns {HTMLInputElement | null | undefined}
 */
const controlOf = (place) => place.closest('form')?.querySelector(`[aria-describedby~="${place.id}"]`);

/**
 * @param {Element} place
 * @param {string} text
 */
function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/**
 * The text beside a field has changed: the field says so as well. What a check says too late is
 * left out: of a form that was sent, or emptied.
 * @param {Element} place
 */
function marked(place) {
  const control = controlOf(place), form = control?.form;
  if (!control || !form?.matches(FORM)) return;
  const text = place.textContent ?? '';
  const late = !control.value && control.type !== 'file';
  if (text && refused.get(place) !== text && (late || sent.has(form))) return say(place, '');
  const ofFile = ofFiles.get(place);
  if (!text && ofFile && !sent.has(form)) return say(place, ofFile); // a check has said that all is well
  if (text) control.setAttribute('aria-invalid', 'true');
  else control.removeAttribute('aria-invalid');
}

/**
 * Shows a refusal beside the fields.
 * @param {HTMLFormElement} form
 * @param {string} reason
 * @returns {boolean} false: it is not of the fields
 */
function show(form, reason) {
  const errors = wrong(reason, (name) => placeOf(form, name) !== null);
  if (!errors) return false;
  /** @type {HTMLElement | null | undefined} */
  let first;
  for (const place of form.querySelectorAll('[id^=error-]')) {
    const text = errors.get(place.id.slice('error-'.length)) ?? '';
    refused.set(place, text);
    say(place, text);
    if (text) first ??= controlOf(place);
  }
  if (form.contains(document.activeElement)) first?.focus();
  return true;
}

/** @param {HTMLFormElement} form */
function clear(form) {
  for (const place of form.querySelectorAll('[id^=error-]')) {
    ofFiles.delete(place);
    say(place, '');
  }
}

// ---- what live.js tells ----

root.addEventListener('op:kept', ({ detail: { op, sender } }) => {
  const form = /** @type {HTMLFormElement | undefined} */ (sender);
  if (!form?.matches(FORM)) return;
  clear(form);
  sent.set(form, { op, draft: draftOf(controls(form)) });
});

// The draft is not needed any more when the outbox has the op in a place that outlives the page.
root.addEventListener('op:changed', () => {
  for (const form of forms()) if (waits(form)) form.setAttribute('aria-busy', 'true');
  for (const [form, of] of sent) {
    if (!of.op.durable || of.draft === null) continue;
    if (kept(form) === of.draft) keep(form, '');
    of.draft = null;
  }
});

root.addEventListener('op:answered', (e) => {
  const { op, answer } = e.detail;
  for (const form of forms(op.entry)) {
    sent.delete(form);
    if (!waits(form)) form.removeAttribute('aria-busy');
    if (answer?.verdict === 'refused' || answer?.verdict === 'old') {
      tell(putBack(controls(form), linesIn(controls(form), op.entry.in)));
      if (show(form, answer.reason)) e.preventDefault(); // it is said beside the fields
    } else {
      clear(form);
      uploads.reset(form);
      keep(form, draftOf(controls(form)));
    }
  }
});

// ---- the page ----

const uploads = new Uploads({
  user: root.dataset.user ?? '',
  changed: (control) => tell([/** @type {Kept} */ (/** @type {unknown} */ (control))]),
  say: (place, text) => {
    ofFiles.set(place, text);
    say(place, text);
  },
});

root.addEventListener('submit', submitting, true);
root.addEventListener('input', ({ target }) => {
  const { form } = /** @type {HTMLInputElement} */ (target);
  if (form?.matches(FORM)) keep(form, draftOf(controls(form)));
});
new MutationObserver((changes) => {
  for (const { target } of changes) if (target instanceof Element && target.matches('[id^=error-]')) marked(target);
}).observe(root, { childList: true, subtree: true });

function begin() {
  for (const form of forms()) {
    tell(putBack(controls(form), linesOf(kept(form))));
    uploads.start(form);
  }
}

root.addEventListener('page:changed', begin);
begin();
