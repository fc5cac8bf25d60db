// log.js has a log stay at its end while entries come, unless the person reads further up; shows
// what they write before it is confirmed; and brings older entries. A page with an element that has
// data-stick loads it behind list.js.

import { markOwn, tellTimes } from './mine.js';
import { bytesOf, opName } from './tab/name.js';
import { Pace } from './tab/pace.js';
import { count } from './view.js';
import { formsOf } from './written.js';

/**
 * @import { Op } from './tab/outbox.js'
 *
 * What list.js says of a list that has changed: the items that were not there, whether they are
 * older than all others, and whether entries are missing before them.
 * @typedef {CustomEvent<{ fresh: HTMLElement[], older: boolean, missed: boolean }>} Changed
 */

const MOST = 2 * 1000; // entries that a page keeps
const NEAR = 8; // px from the end that count as the end
const CALM = 4000; // ms between two sentences, for those who listen
const LONG = 160; // characters of an entry that are said
const RETRY = 4000; // ms after older entries could not be had

/** @type {import('./tab/pace.js').Clock} */
const clock = {
  now: () => performance.now(), later: (job, ms) => setTimeout(job, ms), cancel: (timer) => clearTimeout(timer),
};

/** @param {HTMLElement | null | undefined} entry */
const numberOf = (entry) => Number(entry?.dataset.n);

/** A log in the page, and the box that scrolls it. */
class Log {
  #root;
  #box;
  #list;
  /** @type {HTMLElement | null} says how many entries have come below, and leads there */
  #button;
  /** @type {HTMLElement | null} says that entries are missing */
  #missed;
  /** @type {HTMLAnchorElement | null} leads to older entries */
  #link;
  /** @type {IntersectionObserver | undefined} whether the link is in sight, or nearly */
  #sight;
  #sticks = true; // to the end
  #top = 0; // where the box was scrolled to when it was at the end
  #unread = 0;
  #loading = false;
  #unheard = 0; // entries
  /** @type {HTMLElement | undefined} the last of them */
  #newest;
  #voice = new Pace(() => this.#say(), clock);
  /** @type {Map<string, Promise<ArrayBuffer>>} by client */
  #digests = new Map();

  /**
   * @param {HTMLElement} root - where live.js speaks
   * @param {HTMLElement} box
   * @param {HTMLElement} list
   */
  constructor(root, box, list) {
    const room = box.closest('[data-topic]') ?? box;
    this.#root = root;
    this.#box = box;
    this.#list = list;
    this.#button = room.querySelector('[data-unread]');
    this.#missed = room.querySelector('[data-missed]');
    this.#link = box.querySelector('a.older');
  }

  /** @param {AbortSignal} over - another page is shown */
  start(over) {
    // Whoever listens hears of new entries from #say, calmly, and never of older ones.
    this.#box.setAttribute('aria-live', 'off');
    this.#toEnd();
    this.#box.addEventListener('scroll', () => this.#look(), { passive: true });
    const grows = new ResizeObserver(() => this.#sticks && this.#toEnd()); // pictures come late
    for (const el of [this.#box, this.#list]) grows.observe(el);
    this.#list.addEventListener('list:changed', (e) => this.#changed(/** @type {Changed} */ (e).detail));
    this.#button?.addEventListener('click', () => this.#goToEnd());
    this.#missed?.querySelector('button')?.addEventListener('click', () => this.#tellMissed(false));
    this.#root.addEventListener('op:kept', ({ detail: { op } }) => this.#preview(op), { signal: over });
    this.#root.addEventListener('op:answered', ({ detail: { op, answer } }) => {
      this.#answered(op, answer?.verdict);
    }, { signal: over });
    over.addEventListener('abort', () => { grows.disconnect(); this.#sight?.disconnect(); });
    this.#link?.addEventListener('click', (e) => {
      e.preventDefault();
      this.#load(true);
    });
    this.#sight = new IntersectionObserver((all) => {
      if (all.at(-1)?.isIntersecting && !this.#sticks) this.#load();
    }, { root: this.#box, rootMargin: '200px 0px 0px' });
    this.#seek();
  }

  // ---- the end ----

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#box;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  #toEnd() {
    this.#box.scrollTo({ top: this.#box.scrollHeight, behavior: 'instant' });
    this.#sticks = true;
    this.#top = this.#box.scrollTop;
    this.#count(0);
  }

  // The button is hidden with that, and must not take the focus with it.
  #goToEnd() {
    this.#box.focus({ preventScroll: true });
    this.#trim();
    this.#toEnd();
  }

  // Only who scrolls up leaves the end: it moves by itself, too.
  #look() {
    if (!this.#isAtEnd()) {
      if (!this.#sticks || this.#box.scrollTop >= this.#top - 1) return;
      this.#sticks = false;
      this.#seek();
      return;
    }
    this.#sticks = true;
    this.#top = this.#box.scrollTop;
    this.#count(0);
    this.#trim();
  }

  /** @param {number} unread */
  #count(unread) {
    this.#unread = unread;
    if (!this.#button) return;
    this.#button.hidden = !unread;
    count(this.#button, unread);
  }

  /** @param {Changed['detail']} change */
  #changed({ fresh, older, missed }) {
    tellTimes(this.#list);
    for (const el of this.#list.querySelectorAll(':scope > .pending[data-acked]')) el.remove();
    if (older) return;
    this.#link?.toggleAttribute('hidden', !this.#mark());
    if (missed) this.#tellMissed(true);
    if (this.#sticks) {
      this.#trim();
      this.#toEnd();
    } else if (fresh.length) {
      this.#count(this.#unread + fresh.length);
    }
    this.#hear(fresh);
  }

  // ---- how much is kept ----

  // What is above goes when there is too much, and nobody is reading it. The link brings it back.
  #trim() {
    const { children } = this.#list;
    if (children.length <= MOST || !this.#link) return;
    for (const el of [...children].slice(0, children.length - MOST)) el.remove();
    this.#link.hidden = !this.#mark();
  }

  // Has the link lead to what is before the first entry, and returns whether there is something.
  #mark() {
    const n = numberOf(/** @type {HTMLElement | null} */ (this.#list.firstElementChild));
    if (!this.#link || !(n > 1)) return false;
    const url = new URL(this.#link.href);
    url.searchParams.set('before', String(n));
    this.#link.href = url.href;
    return true;
  }

  // ---- older entries ----

  // Loads what is older if the link is in sight. The observer by itself says only what changes: it
  // is silent while somebody stays at the top.
  #seek() {
    if (!this.#link) return;
    this.#sight?.unobserve(this.#link);
    this.#sight?.observe(this.#link);
  }

  /** @param {boolean} [asked] - by a click */
  async #load(asked = false) {
    if (this.#loading || !this.#link) return;
    const { href } = this.#link;
    this.#loading = true;
    this.#link.setAttribute('aria-busy', 'true');
    try {
      const answer = await fetch(href, { headers: { 'HX-Request': 'true' } });
      const html = await answer.text();
      if (!answer.ok) throw new Error(`${answer.status}`);
      if (/<html/i.test(html)) { // where no server is, they are a page of their own
        if (asked) location.assign(href);
      } else if (this.#link.href === href) { // else it is not what comes before the first any more
        await this.#prepend(html);
      }
    } catch (e) {
      console.warn('Older entries can not be loaded:', e); // the link is still there
      clock.later(() => this.#seek(), RETRY);
    }
    this.#link.removeAttribute('aria-busy');
    this.#loading = false;
    if (this.#link.href !== href) this.#seek();
  }

  /** @param {string} html - entries, and a link if there are more */
  async #prepend(html) {
    const more = /<a\s[^>]*class="older"/.test(html);
    const text = /<hx-list/.test(html) ? html.replace('<hx-list', '<hx-list older')
      : `<hx-list hx-target="#${this.#list.id}" older>${html}</hx-list>`;
    const n = this.#list.children.length, first = this.#list.firstElementChild;
    const top = first?.getBoundingClientRect().top ?? 0;
    await htmx.swap({ sourceElement: this.#list, target: `#${this.#list.id}`, text, swap: 'none', transition: false });
    if (this.#link) this.#link.hidden = !(this.#mark() && more && this.#list.children.length > n);
    // The link, too, is above what is read.
    if (first) this.#box.scrollBy({ top: first.getBoundingClientRect().top - top, behavior: 'instant' });
  }

  // ---- what this person writes ----

  /** @param {Op} op */
  async #preview(op) {
    const [form] = formsOf(op).filter(({ dataset }) => dataset.preview === `#${this.#list.id}`);
    const like = form?.querySelector('template')?.content.firstElementChild;
    if (!like || document.querySelector('#renderer[aria-checked=true]')) return; // that shows it itself
    const entry = /** @type {HTMLElement} */ (like.cloneNode(true));
    entry.id = await this.#idOf(op);
    entry.classList.add('pending');
    for (const part of entry.querySelectorAll('[data-value]')) {
      part.textContent = String(op.entry.in[/** @type {HTMLElement} */ (part).dataset.value ?? ''] ?? '');
    }
    if (op.answered || document.getElementById(entry.id)) return;
    this.#list.append(entry);
    if (!op.adopted) this.#toEnd();
    else if (this.#sticks) this.#toEnd();
  }

  /**
   * The id that the entry of an op will have. Without crypto.subtle, which is so on pages without
   * https, it has another until it is confirmed.
   * @param {Op} op
   */
  async #idOf({ entry: { client, seq } }) {
    if (!crypto.subtle) return `own-${client}-${seq}`;
    const digest = this.#digests.get(client) ?? crypto.subtle.digest('SHA-256', bytesOf(client));
    this.#digests.set(client, digest);
    return (this.#list.dataset.items ?? 'm-') + opName(await digest, seq);
  }

  /**
   * A confirmed entry has come with a frame before the answer. Should that have been dropped,
   * because it did not fit, then it comes with the next.
   * @param {Op} op
   * @param {string} [verdict]
   */
  async #answered(op, verdict) {
    const entry = document.getElementById(await this.#idOf(op));
    if (!entry?.matches('.pending')) return;
    if (verdict === 'ack' && crypto.subtle) entry.dataset.acked = '';
    else entry.remove();
  }

  // ---- for those who listen ----

  /** @param {HTMLElement[]} fresh */
  #hear(fresh) {
    if (!fresh.length) return;
    this.#unheard += fresh.length;
    this.#newest = fresh.at(-1);
    this.#voice.ask(CALM);
  }

  #say() {
    const n = this.#unheard, said = document.getElementById('said');
    this.#unheard = 0;
    if (!said) return;
    const text = (this.#newest?.innerText ?? '').replace(/\s+/g, ' ').trim();
    said.textContent = n === 1 ? text.slice(0, LONG) : this.#words(n);
  }

  /**
   * How many there are, in the words of the page: those of the button.
   * @param {number} n
   */
  #words(n) {
    if (!this.#button) return String(n);
    count(this.#button, n);
    const words = this.#button.textContent?.trim() ?? '';
    count(this.#button, this.#unread);
    return words;
  }

  /** @param {boolean} yes */
  #tellMissed(yes) {
    if (this.#missed) this.#missed.hidden = !yes;
  }
}

/** @type {HTMLElement | null} */
const root = document.querySelector('[hx-ws\\:connect]');
let page = new AbortController();

function begin() {
  page.abort();
  page = new AbortController();
  for (const entries of document.querySelectorAll('.entries')) tellTimes(entries);
  for (const box of document.querySelectorAll('[data-stick]')) {
    /** @type {HTMLElement | null} */
    const list = box.querySelector('[data-list]');
    if (root && list) new Log(root, /** @type {HTMLElement} */ (box), list).start(page.signal);
  }
}

markOwn(root?.dataset.user);
root?.addEventListener('page:changed', begin);
begin();
