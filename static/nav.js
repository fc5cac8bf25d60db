// nav.js leads from page to page without loading the document anew: the socket stays, and with it
// what waits. A link does so that has data-nav, or is in something that has. What can't be shown so
// is loaded as any page is.

/** @type {HTMLElement} */
const root = /** @type {HTMLElement} */ (document.querySelector('[hx-ws\\:connect]'));
const PAGE = '.live-page'; // what differs between pages
const WAIT = 10_000; // ms for a page

/** @type {AbortController | undefined} */
let under;

/**
 * Shows the page of an address; leaves this one when that is not possible.
 * @param {URL} to
 * @param {boolean} [back] - the address is that of the browser already
 */
export async function go(to, back = false) {
  if (to.origin !== location.origin) return;
  const next = await load(to).catch(() => null);
  if (next === undefined) return; // another page was asked for meanwhile
  if (!next || !show(next)) return void location.assign(to.href);
  if (!back) history.pushState(null, '', to.href);
  const target = to.hash && document.getElementById(to.hash.slice(1));
  if (target) target.scrollIntoView();
  else if (!back) scrollTo(0, 0);
}

/**
 * @param {URL} to
 * @returns {Promise<Document | null | undefined>} null: it is no page of this kind
 */
async function load(to) {
  under?.abort();
  const mine = (under = new AbortController());
  const signal = AbortSignal.any([mine.signal, AbortSignal.timeout(WAIT)]);
  const answer = await fetch(to, { signal, headers: { Accept: 'text/html' } }).catch((e) => {
    if (mine.signal.aborted) return undefined;
    throw e;
  });
  if (!answer) return undefined;
  if (!answer.ok || answer.redirected && new URL(answer.url).origin !== location.origin) return null;
  const html = await answer.text();
  if (mine.signal.aborted) return undefined;
  const policy = root.policy;
  const trusted = /** @type {any} */ (policy ? policy.createHTML(html) : html);
  return new DOMParser().parseFromString(trusted, 'text/html');
}

/** The addresses of scripts and style sheets that a document needs. */
const needs = (/** @type {Document} */ doc) =>
  [...doc.querySelectorAll('script[src],link[rel=stylesheet]')]
    .map((el) => el.getAttribute('src') ?? el.getAttribute('href'));

/**
 * Puts another page in the place of this one.
 * @param {Document} next
 * @returns {boolean} false: it needs what this document has not loaded, or is of another kind
 */
function show(next) {
  const newRoot = /** @type {HTMLElement | null} */ (next.querySelector('[hx-ws\\:connect]'));
  const page = document.querySelector(PAGE), newPage = next.querySelector(PAGE);
  if (!newRoot || !page || !newPage || newRoot.dataset.user !== root.dataset.user) return false;
  if (isPlain()) return false; // its stream would have to be another
  const here = needs(document);
  if (needs(next).some((address) => !here.includes(address))) return false;
  document.title = next.title;
  const focus = page.contains(document.activeElement);
  page.replaceChildren(...newPage.childNodes);
  root.toggleAttribute('data-layout', 'layout' in newRoot.dataset);
  htmx.process(page);
  root.dataset.grants = newRoot.dataset.grants;
  root.rooms?.(newRoot.getAttribute('hx-ws:connect') ?? '', JSON.parse(newRoot.dataset.grants ?? '{}'));
  root.dispatchEvent(new CustomEvent('page:changed'));
  const { activeElement } = document;
  if (focus || !activeElement || activeElement === document.body) rest(/** @type {HTMLElement} */ (page));
  return true;
}

function isPlain() {
  try {
    return !!localStorage.plain;
  } catch {
    return false; // storage is blocked
  }
}

/**
 * Keyboards and screen readers begin at the new page.
 * @param {HTMLElement} page
 */
function rest(page) {
  page.tabIndex = -1;
  page.focus({ preventScroll: true });
}

document.addEventListener('click', (e) => {
  const link = /** @type {Element} */ (e.target).closest?.('a[href]');
  if (!(link instanceof HTMLAnchorElement) || !link.closest('[data-nav]')) return;
  const { button, metaKey, ctrlKey, shiftKey, altKey } = e;
  if (e.defaultPrevented || button || metaKey || ctrlKey || shiftKey || altKey) return;
  if (link.target || link.hasAttribute('download')) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin) return;
  if (to.pathname === location.pathname && to.search === location.search && to.hash) return;
  e.preventDefault();
  void go(to);
});
addEventListener('popstate', () => void go(new URL(location.href), true));
