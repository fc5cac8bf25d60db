// others.js looks after ops in this browser's outbox that the page may not send: another session
// has made them, or they wait for a page that has to be opened. live.js loads it when it finds
// such. What is this person's by another name is given the one that they have now; of the rest it
// says how many there are, until the person has read it.

import { Database, nameOf } from './database.js';
import { sort } from './tab/others.js';
import { count } from './view.js';

/** @import { Entry } from './tab/outbox.js' */

const PATIENCE = 3000; // ms; a page that is being opened may send what this one may not

const root = /** @type {HTMLElement} */ (document.querySelector('[hx-ws\\:connect]'));
const name = nameOf(root.getAttribute('hx-ws:connect') ?? '');
const store = new Database(name);
const { user = '', grants = '{}' } = root.dataset;
const shows = Object.keys(JSON.parse(grants));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

// What the server called this person before. It has said so to the first page of the new session,
// which has left it for the others.
function former() {
  try {
    const [of, before] = localStorage.former.split(' ');
    if (of === user) return before;
  } catch {
    // Storage is blocked, or there was no session before.
  }
  return root.dataset.former;
}

// The clients whose pages are open: they hold their locks.
async function lives() {
  const { held } = (await navigator.locks?.query()) ?? {};
  return held?.map((lock) => (lock.name ?? '').slice(name.length + 1));
}

/**
 * Changes or removes what is there.
 * @param {Entry[]} entries
 * @param {boolean} put
 */
async function write(entries, put) {
  if (entries.length) await store.write(entries.map((entry) => ({ op: { entry, durable: true }, put })));
}

/** @param {Entry[]} entries */
function say(entries) {
  const place = document.getElementById('strange'), button = place?.querySelector('button');
  if (!place || !button) return;
  count(place, entries.length);
  place.hidden = !entries.length;
  button.onclick = () => {
    place.hidden = true;
    // If that fails, the next page says it again.
    write(entries.map((entry) => ({ ...entry, told: true })), true).catch(() => {});
  };
}

async function look() {
  const here = { user, former: former(), shows, date: Date.now(), lives: await lives() };
  const sorted = sort(await store.read(), here);
  await write(sorted.over, false);
  await write(sorted.mended, true);
  if (sorted.mended.length) root.post?.resume(); // some may be for this page
  return sorted.strange;
}

root.others = () => {
  timer ??= setTimeout(() => {
    timer = undefined;
    look().then(say, () => {});
  }, PATIENCE);
  look().catch(() => {}); // the next page tries again
};
