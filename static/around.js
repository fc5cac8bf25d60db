// around.js says of a page of the demo what only this tab can: which of the people shown is its own
// person, when things were done by its clock, and since when it is not in step. The icon and the
// title of the tab say the count, and trouble, to those who look at another tab.

import { face } from './tab/face.js';
import { Pace } from './tab/pace.js';

const ICON = 1000; // ms between two icons
const MARK = '⚠ '; // begins the title of a page in trouble

const now = () => performance.now();

/** @type {import('./tab/pace.js').Clock} */
const clock = { now, later: (job, ms) => setTimeout(job, ms), cancel: (timer) => clearTimeout(timer) };

/** @param {string} selector */
const part = (selector) => /** @type {HTMLElement | null} */ (document.querySelector(selector));

const { user = '' } = part('[hx-ws\\:connect]')?.dataset ?? {};
const status = part('#status');

/**
 * Calls back at once, and whenever something below an element changes.
 * @param {Element | null} el
 * @param {MutationObserverInit} what
 * @param {() => void} job
 */
function watch(el, what, job) {
  if (!el) return;
  new MutationObserver(job).observe(el, what);
  job();
}

// ---- whose and when ----

if (user) {
  const sheet = new CSSStyleSheet(), own = `[data-by=${CSS.escape(user)}]`;
  const ring = 'z-index:1;outline:2px solid var(--ink);outline-offset:-1px';
  sheet.replaceSync(`.acts ${own}::after{content:" (you)"}.avatar${own}{${ring}}`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

/** @param {Date} at */
const said = (at) => at.toLocaleTimeString([], { timeStyle: 'medium', hourCycle: 'h23' });

watch(part('#acts'), { childList: true, subtree: true, characterData: true }, () => {
  /** @type {NodeListOf<HTMLTimeElement>} */
  const times = document.querySelectorAll('#acts time[datetime]');
  for (const el of times) {
    const text = said(new Date(el.dateTime));
    if (el.textContent !== text) el.textContent = text;
  }
});

// ---- in step, or since when not ----

let inStep = 0; // when it was last, as Date.now() says it; 0: never

function tellAge() {
  const state = status?.dataset.state ?? '';
  if (state === 'live') inStep = Date.now();
  if (state === 'live' || !inStep) return;
  for (const el of document.querySelectorAll('.as-of')) {
    const time = el.querySelector('time');
    if (time) time.textContent = said(new Date(inStep));
    /** @type {HTMLElement} */ (el).hidden = false;
  }
}

const inTrouble = () => ['offline', 'degraded'].includes(status?.dataset.state ?? '');

function mark() {
  const marked = document.title.startsWith(MARK);
  if (marked && !inTrouble()) document.title = document.title.slice(MARK.length);
  if (!marked && inTrouble()) document.title = MARK + document.title;
}

const icon = new Pace(() => {
  const count = part('[data-count]')?.dataset.count ?? '';
  const link = /** @type {HTMLLinkElement | null} */ (part('link[rel=icon]'));
  if (link) link.href = `data:image/svg+xml,${encodeURIComponent(face(count, status?.dataset.state ?? ''))}`;
}, clock);

watch(status, { attributeFilter: ['data-state'] }, () => {
  tellAge();
  mark();
  icon.ask(ICON);
});
watch(part('title'), { childList: true }, mark);
watch(part('#live'), { subtree: true, attributeFilter: ['data-count'] }, () => icon.ask(ICON));

// ---- what a person may switch off, and share ----

const quiet = part('#quiet'), list = part('#acts');
if (quiet && list) {
  /** @param {boolean} hide */
  const show = (hide) => {
    list.hidden = hide;
    quiet.setAttribute('aria-pressed', String(hide));
    quiet.textContent = hide ? 'Show' : 'Hide';
  };
  quiet.hidden = false;
  try {
    show(localStorage.quiet === 'yes');
  } catch {
    // Storage is blocked: it is as the page has it.
  }
  quiet.addEventListener('click', () => {
    show(!list.hidden);
    try {
      localStorage.quiet = list.hidden ? 'yes' : 'no';
    } catch {
      // As above.
    }
  });
}

const link = /** @type {HTMLAnchorElement | null} */ (part('#share-link')), near = part('#share-near');
if (link && near) {
  link.textContent = link.href;
  near.hidden = !/^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);
}
