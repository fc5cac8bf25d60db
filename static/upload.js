// upload.js sends the files of forms: each by itself, as soon as it is chosen, in pieces, and on
// from where it was after a lost connection, another replica or a reload. The form has its id. See
// tab/resume.js and Go package upload.

import { send } from './tab/resume.js';

/** @import { Result } from './tab/resume.js' */

const TUS = { 'Tus-Resumable': '1.0.0' };
const TIMEOUT = 30_000; // ms; for a piece
const KEY = 'upload ';

/**
 * @typedef {object} Env
 * @property {string} user
 * @property {(control: HTMLInputElement) => void} changed - the id of a file
 * @property {(place: Element, text: string) => void} say - beside a field
 *
 * What an earlier page was about to send.
 * @typedef {{ name: string, size: number, modified: number, url: string }} Begun
 */

/** @param {string} text */
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/**
 * @param {string} url
 * @param {RequestInit} init
 * @returns {Promise<Result>}
 */
async function ask(url, init) {
  try {
    const response = await fetch(url, {
      ...init, headers: { ...TUS, ...init.headers }, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT),
    });
    const { status, headers } = response, offset = headers.get('Upload-Offset'), location = headers.get('Location');
    const isText = headers.get('Content-Type')?.startsWith('text/plain');
    return {
      status, offset: offset === null ? undefined : Number(offset), text: isText ? await response.text() : '',
      location: location === null ? undefined : new URL(location, response.url).href,
    };
  } catch {
    return { status: 0 };
  }
}

/** A field with a file. */
class Upload {
  #env;
  #box;
  #file;
  #id;
  #begun;
  #run = 0; // counts attempts: an older one is over
  busy = false;

  /**
   * @param {Env} env
   * @param {HTMLElement} box - with data-upload
   */
  constructor(env, box) {
    this.#env = env;
    this.#box = box;
    this.#file = /** @type {HTMLInputElement} */ (box.querySelector('[type=file]'));
    this.#id = /** @type {HTMLInputElement} */ (box.querySelector('[type=hidden]'));
    this.#begun = `${KEY}${env.user} ${location.pathname} ${this.#id.name}`;
    this.#file.onchange = () => this.#choose();
    const stop = /** @type {HTMLElement} */ (box.querySelector('[data-upload-stop]'));
    stop.onclick = () => this.reset();
    box.hidden = false;
    const begun = this.#read();
    if (begun && !this.#id.value) this.say(`Choose “${begun.name}” again: it goes on from where it was.`);
    if (this.#id.value) this.#show(1);
  }

  /** @param {string} text */
  say(text) {
    const place = this.#box.querySelector('[id^=error-]');
    if (place) this.#env.say(place, text);
  }

  /** @returns {Begun | null} */
  #read() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#begun) ?? 'null');
    } catch {
      return null;
    }
  }

  /** @param {Begun | null} begun */
  #keep(begun) {
    try {
      if (begun) sessionStorage.setItem(this.#begun, JSON.stringify(begun));
      else sessionStorage.removeItem(this.#begun);
    } catch {
      // Storage is blocked: a reload begins anew.
    }
  }

  /** @param {number | null} share - of what is sent; null: there is nothing to show */
  #show(share) {
    const sending = /** @type {HTMLElement} */ (this.#box.querySelector('.sending'));
    const progress = sending.querySelector('progress');
    sending.hidden = share === null;
    if (progress) progress.value = Math.round((share ?? 0) * 100);
  }

  /** @param {string} id */
  #set(id) {
    if (this.#id.value === id) return;
    this.#id.value = id;
    this.#env.changed(this.#id);
  }

  /** Nothing is chosen. */
  reset() {
    this.#run++;
    this.busy = false;
    this.#file.value = '';
    this.#keep(null);
    this.#show(null);
    this.say('');
    this.#set('');
  }

  async #choose() {
    const file = this.#file.files?.[0], run = ++this.#run, begun = this.#read();
    this.say('');
    this.#set('');
    if (!file) return this.reset();
    const what = { name: file.name, size: file.size, modified: file.lastModified };
    const same = begun && begun.name === what.name && begun.size === what.size && begun.modified === what.modified;
    this.busy = true;
    this.#show(0);
    const done = await send(file.size, same ? begun.url : '', this.#transport(file), {
      created: (url) => this.#keep({ ...what, url }),
      progress: (share) => this.#show(share),
      stopped: () => run !== this.#run,
      pause: (ms) => new Promise((resolve) => {
        setTimeout(resolve, ms);
        addEventListener('online', () => resolve(), { once: true });
      }),
    });
    if (!done) return;
    this.busy = false;
    this.#keep(null);
    if (done.problem) {
      this.#file.value = '';
      this.#show(null);
      return this.say(done.problem);
    }
    this.#set(done.url.split('/').at(-1) ?? '');
  }

  /** @param {File} file */
  #transport(file) {
    return {
      create: (/** @type {number} */ size) => ask(this.#box.dataset.upload ?? '', {
        method: 'POST',
        headers: {
          'Upload-Length': String(size),
          'Upload-Metadata': `filename ${base64(file.name)},filetype ${base64(file.type)}`,
        },
      }),
      ask: (/** @type {string} */ url) => ask(url, { method: 'HEAD' }),
      send: (/** @type {string} */ url, /** @type {number} */ from, /** @type {number} */ to) => ask(url, {
        method: 'PATCH', body: file.slice(from, to),
        headers: { 'Upload-Offset': String(from), 'Content-Type': 'application/offset+octet-stream' },
      }),
    };
  }
}

/** The files of a page. */
export class Uploads {
  #env;
  /** @type {Map<Element, Upload>} */
  #all = new Map();

  /** @param {Env} env */
  constructor(env) {
    this.#env = env;
  }

  /** @param {HTMLFormElement} form */
  start(form) {
    /** @type {NodeListOf<HTMLElement>} */
    const boxes = form.querySelectorAll('[data-upload]');
    for (const box of boxes) this.#all.set(box, new Upload(this.#env, box));
  }

  /** @param {HTMLFormElement} form */
  #of(form) {
    return [...this.#all].filter(([box]) => form.contains(box)).map(([, upload]) => upload);
  }

  /**
   * Whether a form must wait for a file; it says so.
   * @param {HTMLFormElement} form
   */
  holds(form) {
    const busy = this.#of(form).filter((upload) => upload.busy);
    for (const upload of busy) upload.say('It is still being sent: press again when it is there.');
    return busy.length > 0;
  }

  /** @param {HTMLFormElement} form */
  reset(form) {
    for (const upload of this.#of(form)) upload.reset();
  }
}
