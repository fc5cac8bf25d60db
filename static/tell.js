// tell.js does what the application tells this tab to do: it says something for a moment, leads
// to another page, gives the page a title, and so on (docs/protocol.md). Pages that package serve
// makes load it.

import { go } from './nav.js';

const FLASH = 7000; // ms for which something is said, and longer for more words
const READING = 60; // ms for a character

const root = /** @type {HTMLElement} */ (document.querySelector('[hx-ws\\:connect]'));

/** @type {ReturnType<typeof setTimeout> | undefined} */
let passing;

/** @param {string} text */
function flash(text) {
  const place = document.getElementById('flash') ?? document.getElementById('notice');
  if (!place) return;
  clearTimeout(passing);
  place.textContent = text;
  place.hidden = false;
  passing = setTimeout(() => {
    if (place.textContent === text) place.textContent = '';
  }, FLASH + READING * text.length);
}

/** @param {string} name - the id of a form, or an action */
function reset(name) {
  for (const form of document.forms) {
    if (form.id === name || form.dataset.do === name) form.reset();
  }
}

/** @type {Record<string, (...what: any[]) => void>} */
const does = {
  flash,
  reset,
  navigate: (to) => void go(new URL(to, location.href)),
  title: (text) => (document.title = text),
  focus: (id) => document.getElementById(id)?.focus(),
  event: (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail })),
};

root.addEventListener('htmx:ws:before:message:incoming', (e) => {
  const { data } = /** @type {CustomEvent} */ (e).detail.message;
  if (!`${data}`.includes('"tell":')) return;
  for (const [what, ...of] of JSON.parse(data).tell ?? []) does[what]?.(...of);
});
