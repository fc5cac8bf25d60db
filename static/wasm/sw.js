// sw.js is the service worker that keeps the application for when there is no network. FILES, what
// the application consists of, and VERSION are put before it by the server: the page first, and
// then what it loads, whose names contain a hash of their content. A version is kept whole or not
// at all, and a page goes on with its own version until it is loaded again.
'use strict';

const sw = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const PREFIX = `lockstep ${sw.registration.scope} `;
const CACHE = PREFIX + VERSION;
const PAGE = address(FILES[0]);
// Of files of any version.
const FOLDERS = new Set(FILES.slice(1).map((file) => new URL('.', address(file)).href));

/** @param {string} file */
function address(file) {
  return new URL(file, location.href).href;
}

sw.addEventListener('install', (e) => {
  sw.skipWaiting();
  e.waitUntil(install());
});

// Loads everything before it keeps anything: if that fails, the version that there is goes on.
async function install() {
  const all = await Promise.all(FILES.map(load));
  const cache = await caches.open(CACHE);
  await Promise.all(all.map((response, i) => cache.put(address(FILES[i]), response)));
}

/** @param {string} file */
async function load(file) {
  const response = await fetch(address(file), { cache: 'no-cache' });
  const copy = await copyOf(response);
  if (!response.ok || !(await belongs(file, copy))) {
    throw new Error(`${file} is not of this version, or damaged`);
  }
  return copy;
}

/**
 * Returns a response that can be kept and used for any request: a browser takes none for a page
 * that was redirected.
 * @param {Response} response
 */
async function copyOf(response) {
  const headers = new Headers(response.headers);
  headers.delete('content-encoding'); // the body is decoded
  headers.delete('content-length');
  return new Response(await response.arrayBuffer(), { headers });
}

/**
 * Reports whether a response is what this version needs: the file that its name says, or a page
 * with just these files. While servers are replaced some have a version and others the next, and
 * many answer with a page for what they don't have.
 * @param {string} file
 * @param {Response} response
 */
async function belongs(file, response) {
  const [, hash] = file.match(/\.([0-9a-f]{10,64})\.\w+$/) ?? [];
  if (!hash) {
    const html = (await response.clone().text()).replaceAll('&#34;', '"'); // in an attribute
    return FILES.slice(1).every((other) => html.includes(`"${other}"`));
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await response.clone().arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('').startsWith(hash);
}

sw.addEventListener('activate', (e) => e.waitUntil(tidy()));

// Forgets all versions but this one and the one before, which open pages may be in the middle of
// loading.
async function tidy() {
  const old = (await versions()).filter((name) => name !== CACHE);
  for (const name of old.slice(0, -1)) await caches.delete(name);
  await sw.clients.claim();
}

// Returns the names of the caches, oldest first.
async function versions() {
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX));
}

sw.addEventListener('fetch', (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== 'GET' || url.origin !== location.origin) return;
  url.search = url.hash = ''; // the page is the same for every counter
  if (url.href === `${PAGE}index.html`) url.href = PAGE;
  if (url.href === PAGE) e.respondWith(answerPage(e));
  else if (FOLDERS.has(new URL('.', url).href)) e.respondWith(answerFile(e, url.href));
});

/**
 * A page without its files is of no use: where the browser has thrown some away, the server is
 * asked first.
 * @param {FetchEvent} e
 */
async function answerPage(e) {
  const kept = await caches.match(PAGE, { cacheName: CACHE });
  if (kept && (await whole())) return kept;
  const response = await restore(e, PAGE).catch((error) => error);
  if (response.ok) e.waitUntil(complete().catch(() => {})); // the next page tries again
  return response.ok ? response : (kept ?? (response instanceof Response ? response : Response.error()));
}

async function whole() {
  const cache = await caches.open(CACHE);
  return (await cache.keys()).length >= FILES.length;
}

// Loads what is missing, also what this page does without and another needs. The last first: those
// that all pages load come by themselves meanwhile.
async function complete() {
  const cache = await caches.open(CACHE);
  for (const file of FILES.slice(1).reverse()) {
    if (!(await cache.match(address(file)))) await cache.put(address(file), await load(file));
  }
}

/**
 * @param {FetchEvent} e
 * @param {string} url
 */
async function answerFile(e, url) {
  const kept = await find(url);
  if (!kept) return restore(e, url);
  // With reload the page says that what it was given is damaged.
  return e.request.cache === 'reload' ? restore(e, url).catch(() => kept) : kept;
}

/**
 * Finds a file of any version that is kept.
 * @param {string} url
 */
async function find(url) {
  for (const cacheName of await versions()) {
    const kept = await caches.match(url, { cacheName });
    if (kept) return kept;
  }
}

/**
 * Answers from the network, and keeps what should be kept.
 * @param {FetchEvent} e
 * @param {string} url
 */
async function restore(e, url) {
  const response = await fetch(e.request);
  const i = FILES.map(address).indexOf(url);
  if (i >= 0 && response.ok) e.waitUntil(keep(FILES[i], response.clone()).catch(() => {}));
  return response;
}

/**
 * @param {string} file
 * @param {Response} response
 */
async function keep(file, response) {
  const copy = await copyOf(response);
  if (await belongs(file, copy)) await (await caches.open(CACHE)).put(address(file), copy);
}
