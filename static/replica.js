// replica.js lets a tab render itself, at the person's wish: the server sends it states instead of
// HTML, and the component that the server uses makes the HTML here, compiled to WebAssembly, in a
// worker. Clicks show at once, with or without a connection; live.js keeps and sends them as ever,
// so the server counts each once. The server believes nothing of what is rendered.

import { HeldStates } from './tab/held.js';

/**
 * @import { At, Update } from './tab/message.js'
 * @import { Op } from './tab/outbox.js'
 *
 * A page with live.js.
 * @typedef {Required<Pick<HTMLElement, 'renderWith' | 'post' | 'versions'>> & HTMLElement} Root
 *
 * How the server gets on with the program; when it is ready, where it and its worker are.
 * @typedef {object} Progress
 * @property {'missing' | 'compiling' | 'ready'} stage
 * @property {string} text - for the person
 * @property {number} [share] - from 0 to 1
 * @property {string} [worker]
 * @property {string} [program]
 *
 * What the worker says: that it has started, why it can't, or what it has rendered.
 * @typedef {object} Answer
 * @property {boolean} [ready]
 * @property {string} [failure] - for the person
 * @property {string} [detail] - for the log
 * @property {string} target - a selector
 * @property {string} html
 */

const CHECK = 500; // ms between two questions how far the program is
const PATIENCE = 10000; // ms; the worker renders within a few
const MAX_CHAIN = 256 * 1024; // letters of changes behind a state; then it is asked for anew
const KEY = 'render'; // in sessionStorage: a reload goes on as it was

const LATER = 'It begins with the next connection.';

const now = () => performance.now();

// What may become a script here (Trusted Types): what comes from this server.
const rules = {
  /** @param {string} url */
  createScriptURL(url) {
    if (new URL(url, location.href).origin !== location.origin) {
      throw new TypeError(`${url} is not of this server`);
    }
    return url;
  },
};

// Whether this tab rendered itself when it was last loaded.
function remembered() {
  try {
    return sessionStorage.getItem(KEY) === 'tab';
  } catch {
    return false; // storage is blocked
  }
}

/** @param {boolean} yes */
function remember(yes) {
  try {
    if (yes) sessionStorage.setItem(KEY, 'tab');
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is blocked: a reload begins with the server.
  }
}

/** @param {string} text */
function tell(text) {
  const notice = document.getElementById('notice');
  if (notice) notice.textContent = text;
}

/**
 * Asks the server how it gets on with the program.
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<Progress | null>} null: there is no answer
 */
async function ask(url, signal) {
  try {
    return await (await fetch(url, { cache: 'no-store', signal })).json();
  } catch {
    return null;
  }
}

/** A tab that can render itself, and its switch. */
class Replica {
  #root;
  #button;
  #policy = self.trustedTypes?.createPolicy('lockstep', rules) ?? rules;

  /** @type {Worker | null} null: the server renders */
  #worker = null;
  /** @type {AbortController | undefined} of the download of the program, and of the wait for it */
  #loading;
  #waits = false; // for the server, which compiles the program
  #leaving = false; // the worker renders for the last time

  /**
   * The newest of each topic: a state, and in lines behind it what has changed since. whole is how
   * long the state is.
   * @type {Map<string, { at: At, state: string, whole: number, came: number }>}
   */
  #newest = new Map();
  #states = new HeldStates(now);
  /** @type {ReturnType<typeof setTimeout> | undefined} of #states */
  #timer;
  /** @type {Set<string>} topics to be rendered */
  #due = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while the worker renders */
  #busy;

  /**
   * @param {Root} root
   * @param {HTMLElement} button
   */
  constructor(root, button) {
    this.#root = root;
    this.#button = button;
  }

  begin() {
    this.#button.hidden = false;
    this.#button.addEventListener('click', () => (this.#isOn() ? this.#stop() : this.#start()));
    if (remembered()) this.#start();
  }

  // ---- the switch ----

  #isOn() {
    return this.#waits || (this.#worker !== null && !this.#leaving);
  }

  /** @param {boolean} on */
  #switch(on) {
    this.#button.setAttribute('aria-checked', String(on));
    remember(on);
  }

  async #start() {
    this.#end();
    this.#switch(true);
    this.#button.setAttribute('aria-busy', 'true');
    if (this.#button.dataset.progress && !(await this.#compiled(this.#button.dataset.progress))) return;
    const own = new Worker(this.#policy.createScriptURL(this.#button.dataset.worker ?? ''));
    this.#worker = own;
    own.onmessage = ({ data }) => this.#worker === own && this.#take(data);
    own.onerror = (e) => {
      e.preventDefault();
      if (this.#worker === own) this.#fail(e.message);
    };
    this.#loading = new AbortController();
    try {
      const program = await this.#load(this.#loading.signal);
      own.postMessage({ program, args: ['render'] }, [program]);
    } catch (e) {
      if (this.#worker === own) this.#fail(String(e instanceof Error ? e.message : e));
    }
  }

  /**
   * Waits until the server has compiled the program, and says how that goes.
   * @param {string} progress - where the server says it
   * @returns {Promise<boolean>} false: there is nothing to go on with
   */
  async #compiled(progress) {
    const { signal } = (this.#loading = new AbortController());
    this.#waits = true;
    for (; !signal.aborted; await new Promise((done) => setTimeout(done, CHECK))) {
      const got = await ask(progress, signal);
      if (signal.aborted) break;
      if (got?.stage === 'missing') return this.#giveUp(got.text);
      if (got?.stage === 'ready') return this.#goOn(got);
      if (got) this.#say(`Compiling: ${Math.floor(100 * (got.share ?? 0))} %`);
    }
    return false;
  }

  /** @param {Progress} got */
  #goOn({ worker, program }) {
    Object.assign(this.#button.dataset, { worker, program, progress: '' });
    this.#say('');
    this.#waits = false;
    return true;
  }

  /**
   * Says beside the switch what it waits for.
   * @param {string} text - "": for nothing
   */
  #say(text) {
    const old = this.#button.querySelector('.wait');
    if (!old && !text) return;
    const place = old ?? this.#button.appendChild(document.createElement('small'));
    place.className = 'wait';
    place.textContent = text;
  }

  /**
   * The server renders, and goes on doing it.
   * @param {string} why
   */
  #giveUp(why) {
    tell(why);
    this.#end();
    this.#switch(false);
    return false;
  }

  /** @param {AbortSignal} signal */
  async #load(signal) {
    const response = await fetch(this.#button.dataset.program ?? '', { signal });
    if (!response.ok) throw new Error(`${response.status}`);
    return response.arrayBuffer();
  }

  // Lets the server render again. Until it does, which may take while there is no connection, the
  // tab shows what has been counted, as one does that never rendered itself.
  #stop() {
    this.#switch(false);
    this.#root.renderWith(null);
    if (!this.#showsWaiting()) return this.#end();
    this.#leaving = true;
    this.#ripen();
  }

  // Ends the worker.
  #end() {
    this.#worker?.terminate();
    this.#loading?.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#busy);
    this.#worker = null;
    this.#busy = undefined;
    this.#say('');
    this.#waits = false;
    this.#leaving = false;
    this.#states = new HeldStates(now);
    this.#due.clear();
    this.#button.removeAttribute('aria-busy');
  }

  /** @param {string} why */
  #fail(why) {
    console.warn('This tab can not render itself:', why);
    this.#giveUp('This tab can not render itself here. The server goes on doing it.');
    this.#root.renderWith(null);
  }

  // ---- what the worker says ----

  /** @param {Answer} answer */
  #take(answer) {
    if (answer.failure) return this.#fail(answer.detail || answer.failure);
    if (answer.ready) return this.#ready();
    clearTimeout(this.#busy);
    this.#busy = undefined;
    if (!this.#leaving) this.#swap(answer);
    else if (!this.#due.size) this.#leave(answer);
    this.#render();
  }

  #ready() {
    this.#button.removeAttribute('aria-busy');
    // It may have rendered itself before, and there may be no connection now.
    const { versions } = this.#root;
    const newest = [...this.#newest].filter(([topic, { at }]) => String(at) === String(versions.of(topic)));
    this.#root.renderWith({
      state: (update) => this.#update(update),
      clicked: () => this.#renderAll(),
      answered: (op, counted, at) => this.#answered(op, counted, at),
    }, newest.length > 0);
    for (const [topic, { state, at, whole, came }] of newest) this.#hear(topic, state, at, whole, came);
    if (!newest.length && document.getElementById('status')?.dataset.state !== 'live') this.#say(LATER);
  }

  /** @param {Answer} answer */
  #leave(answer) {
    if (this.#showsWaiting()) this.#swap(answer); // else the server has been faster
    this.#end();
  }

  #showsWaiting() {
    return this.#root.querySelector('[data-waiting]') !== null;
  }

  // What is rendered says itself where it goes, or replaces what is there.
  /** @param {Answer} answer */
  #swap({ target, html }) {
    const swap = /^\s*<hx-list/.test(html) ? 'none' : 'innerMorph';
    htmx.swap({ target, text: html, swap, transition: false });
  }

  // ---- what live.js says ----

  /**
   * A state has come, or what has changed since the one that was the newest.
   * @param {Update} update
   * @returns {boolean} whether it was another one
   */
  #update({ topic, at, base, state = '' }) {
    const was = this.#newest.get(topic);
    if (base === undefined) this.#hear(topic, state, at, state.length);
    else if (was && String(was.at) === String([at[0], base]) && was.state.length - was.whole < MAX_CHAIN) {
      this.#hear(topic, `${was.state}\n${state}`, at, was.whole);
    } else return true;
    return false;
  }

  /**
   * @param {string} topic
   * @param {string} state
   * @param {At} at
   * @param {number} whole
   * @param {number} [came] - when it was heard
   */
  #hear(topic, state, at, whole, came = now()) {
    this.#say('');
    this.#newest.set(topic, { at, state, whole, came });
    this.#states.hear(topic, at, state, this.#root.post.waiting(topic).filter(({ since }) => since <= came));
    this.#ripen();
  }

  /**
   * @param {Op} op
   * @param {boolean} counted
   * @param {At} [at] - the state that has it first
   */
  #answered(op, counted, at) {
    this.#states.answer(op, counted, at);
    this.#ripen();
    this.#renderAll();
  }

  // Shows the states that need not wait any more.
  #ripen() {
    clearTimeout(this.#timer);
    const shown = this.#states.ripen();
    const due = this.#states.due;
    if (due !== null) this.#timer = setTimeout(() => this.#ripen(), due);
    if (shown || this.#leaving) this.#renderAll();
  }

  #renderAll() {
    for (const topic of this.#states.topics()) this.#due.add(topic);
    this.#render();
  }

  #render() {
    const [topic] = this.#due;
    if (this.#busy !== undefined || topic === undefined) return;
    this.#due.delete(topic);
    this.#busy = setTimeout(() => this.#fail('the worker does not answer'), PATIENCE);
    const { post } = this.#root;
    const ops = this.#leaving ? [] : this.#states.over(topic, post.waiting(topic));
    const waiting = ops.map((op) => JSON.stringify(post.message(op)));
    this.#worker?.postMessage({ topic, state: this.#states.of(topic), waiting, user: this.#root.dataset.user ?? '' });
  }
}

/** @type {HTMLElement | null} */
const root = document.querySelector('[hx-ws\\:connect]');
const button = document.getElementById('renderer');
const able = typeof Worker !== 'undefined' && typeof WebAssembly !== 'undefined';
if (root?.post && button && able) new Replica(/** @type {Root} */ (root), button).begin();
