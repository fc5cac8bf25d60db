// xray.js shows a person how their last click has come to the screens, hop by hop. live.js loads it
// when somebody opens the part of the page that is for it; while that is closed it does nothing.
// The words are the page's.

import { Flights } from './tab/flights.js';

/** @import { Flight, Told } from './tab/flights.js' */

const AGAIN = 4000; // ms between two words to the replica that somebody looks

const root = /** @type {HTMLElement} */ (document.querySelector('[hx-ws\\:connect]'));
const place = /** @type {HTMLDetailsElement} */ (document.getElementById('xray'));
const flights = new Flights();

const link = document.createElement('link');
link.rel = 'stylesheet';
link.href = place.dataset.style ?? '';
document.head.append(link);

function look() {
  if (!place.open || document.hidden) return;
  for (const el of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('[data-topic][data-version]'))) {
    root.cast?.({ cast: '_xray', t: el.dataset.topic ?? '', in: {} });
  }
}

/** @param {number} ms */
const text = (ms) => ms.toFixed(ms < 10 ? 1 : 0);

/**
 * @param {ParentNode} where
 * @param {string} part
 * @param {string} words
 */
function fill(where, part, words) {
  const el = where.querySelector(`[data-part=${part}]`);
  if (el) el.textContent = words;
}

/** @param {Flight} flight */
function show({ told, measured, hops, sum, lastTab }) {
  const result = /** @type {HTMLElement} */ (place.querySelector('.xray-result'));
  const most = Math.max(...Object.values(hops), 1);
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll('[data-hop]'))) {
    const ms = hops[row.dataset.hop ?? ''] ?? 0;
    /** @type {HTMLElement} */ (row.querySelector('.bar')).style.inlineSize = `${(100 * ms) / most}%`;
    fill(row, 'ms', text(ms));
  }
  fill(result, 'measured', text(measured));
  fill(result, 'last', text(lastTab));
  fill(result, 'replica', told.r);
  fill(result, 'tabs', String(told.tabs));
  fill(result, 'taken', text(told.taken ?? 0));
  fill(result, 'back', text(told.back ?? 0));
  others(told);
  Object.assign(result.dataset, { measured, sum, op: told.op[1], network: hops.network });
  result.hidden = false;
  /** @type {HTMLElement} */ (place.querySelector('.xray-hint')).hidden = true;
}

/** @param {Told} told */
function others({ others: all = [] }) {
  const list = /** @type {HTMLElement} */ (place.querySelector('.xray-others'));
  const model = /** @type {HTMLTemplateElement} */ (place.querySelector('template'));
  list.hidden = !all.length;
  list.replaceChildren(...all.map((one) => {
    const row = /** @type {DocumentFragment} */ (model.content.cloneNode(true));
    fill(row, 'replica', one.r);
    fill(row, 'written', text(one.wait + one.render + one.write));
    fill(row, 'tabs', String(one.tabs));
    fill(row, 'painted', text(one.paint ?? 0));
    /** @type {HTMLElement} */ (row.querySelector('[data-part=seen]')).hidden = !one.paint;
    return row;
  }));
}

/** @type {Told[]} of the newest clicks, those that can't be shown yet */
let waiting = [];

function tell() {
  waiting = waiting.filter((told) => {
    const flight = flights.of(told);
    if (flight) show(flight);
    return !flight;
  });
}

root.addEventListener('op:kept', ({ detail: { op } }) => flights.kept(op.entry, performance.now()));

root.addEventListener('htmx:ws:before:message:incoming', (e) => {
  if (!place.open) return;
  const { data } = /** @type {CustomEvent} */ (e).detail.message;
  const { xray, t, e: epoch, v } = JSON.parse(data);
  if (xray) {
    waiting = [...waiting.slice(-7), xray];
    tell();
  } else if (v !== undefined) {
    const painted = flights.came(t, [epoch, v], performance.now());
    requestAnimationFrame(() => setTimeout(() => {
      painted(performance.now());
      tell();
    }));
  }
});

place.addEventListener('toggle', look);
document.addEventListener('visibilitychange', look);
setInterval(look, AGAIN);
look();
