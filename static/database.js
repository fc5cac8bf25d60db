// database.js keeps ops in IndexedDB, where they outlive their page and are seen by others.

import { OPEN_TIMEOUT, STRANGER_AGE } from './constants.js';
import { changes } from './tab/journal.js';

/** @import { Job, Store } from './tab/journal.js' */
/** @import { Entry } from './tab/outbox.js' */

const OPS = 'ops';
const LEFT = ' left '; // between the name of the database and a client, in localStorage

/**
 * The name of the database of an application. What follows the folder of a socket's address is of a
 * page.
 * @param {string} socket
 */
export const nameOf = (socket) => `lockstep ${new URL('.', new URL(socket, location.href)).pathname}`;

// The keys of localStorage; none where storage is blocked.
function keys() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/**
 * Reads what a page has left; nothing, if it is foreign.
 * @param {string} text
 * @returns {{ at: number, entries: Entry[] }}
 */
function leftIn(text) {
  try {
    const left = JSON.parse(text);
    const isEntry = (/** @type {Entry} */ { client, topic, seq }) => client && topic && seq > 0;
    if (left.at > 0 && left.entries.every(isEntry)) return left;
  } catch {
    // It is foreign.
  }
  return { at: 0, entries: [] };
}

/**
 * The ops of all pages of one application, and all people, in this browser. It is opened when it is
 * needed, and again when the browser has closed it.
 * @implements {Store}
 */
export class Database {
  #name;
  /** @type {Promise<IDBDatabase> | null} */
  #opening = null;

  /** @param {string} name */
  constructor(name) {
    this.#name = name;
  }

  /** @returns {Promise<IDBDatabase>} */
  #open() {
    this.#opening ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.#name, 1);
      setTimeout(reject, OPEN_TIMEOUT);
      request.onupgradeneeded = () => request.result.createObjectStore(OPS, { keyPath: ['client', 'topic', 'seq'] });
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const db = request.result;
        db.onversionchange = db.onclose = () => {
          db.close();
          this.#opening = null;
        };
        resolve(db);
      };
    });
    this.#opening.catch(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  /**
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(ops: IDBObjectStore, tx: IDBTransaction) => IDBRequest<T> | void} work
   * @returns {Promise<T>} the result of what work returns
   */
  async #transaction(mode, work) {
    const db = await this.#open();
    return new Promise((resolve, reject) => {
      const tx = db.transaction(OPS, mode, { durability: 'strict' });
      const request = work(tx.objectStore(OPS), tx);
      tx.oncomplete = () => resolve(/** @type {T} */ (request?.result));
      tx.onabort = () => reject(tx.error);
    });
  }

  /**
   * @param {Job[]} jobs
   * @returns {Promise<void>}
   */
  write(jobs) {
    return this.#transaction('readwrite', (ops, tx) => {
      for (const { op: { entry, durable }, put } of jobs) {
        const key = [entry.client, entry.topic, entry.seq];
        if (!put) ops.delete(key);
        else if (!durable) ops.put(entry);
        else ops.getKey(key).onsuccess = (e) => /** @type {IDBRequest} */ (e.target).result && ops.put(entry);
      }
      if (!jobs.some(changes)) tx.commit(); // else it is aborted when the page is left
    });
  }

  /**
   * Keeps new entries of a page that is left, at once, until somebody reads: a browser may abort
   * what such a page has begun to write (Firefox does).
   * @param {Entry[]} entries - of one client
   */
  leave(entries) {
    try {
      localStorage[this.#name + LEFT + entries[0].client] = JSON.stringify({ at: Date.now() + Math.random(), entries });
    } catch {
      // It is blocked, or full.
    }
  }

  /**
   * Takes what a page has left in localStorage, once: a browser that is killed may bring it back
   * when the ops have long been answered. A mark in the database says that it was taken.
   * @param {string} key
   */
  async #take(key) {
    const { at, entries } = leftIn(localStorage[key]);
    if (!entries.length) return;
    await this.#transaction('readwrite', (ops) => {
      ops.delete(IDBKeyRange.bound(['', LEFT, 0], ['', LEFT, at - STRANGER_AGE]));
      ops.getKey(['', LEFT, at]).onsuccess = (e) => {
        if (/** @type {IDBRequest} */ (e.target).result) return;
        for (const entry of [{ client: '', topic: LEFT, seq: at }, ...entries]) ops.put(entry);
      };
    });
    localStorage.removeItem(key);
  }

  /** @returns {Promise<Entry[]>} */
  async read() {
    // What can't be taken must not be read either: it would be taken when it has its answer.
    for (const key of keys()) if (key.startsWith(this.#name + LEFT)) await this.#take(key);
    const all = await this.#transaction('readonly', (ops) => ops.getAll());
    return all.filter(({ client }) => client);
  }
}
