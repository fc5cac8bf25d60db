// live.js is what a page of Lockstep adds to htmx and its extension hx-ws: a click is kept until
// the server answers it, across lost connections and reloads, and sent again with the same id; a
// state older than the one on the page is never shown; the page always tries to connect again, and
// the badge says how it is.
//
// It forks nothing: it is an htmx extension that listens to hx-ws and uses the connection object
// that hx-ws hands out (htmx.d.ts). The wire format is the one of Go package lockstep/htmx.

import { CONNECT_TIMEOUT, RETRY_MAX, RETRY_MIN, SLEEP_GAP } from './constants.js';
import { Controls } from './controls.js';
import { Backoff } from './tab/backoff.js';
import { read } from './tab/message.js';
import { Outbox } from './tab/outbox.js';
import { Uptime } from './tab/uptime.js';
import { Versions } from './tab/versions.js';
import { Watchdog } from './tab/watchdog.js';
import { View } from './view.js';
import { Voice } from './voice.js';

/**
 * @import { Refusal, Update } from './tab/message.js'
 * @import { Click } from './tab/outbox.js'
 */

const RENEW = 60000; // ms between two reloads that are to bring a new session
const CHECK = 1000; // ms between two checks of the connection

/**
 * What renders this tab instead of the server: see replica.js.
 * @typedef {object} Renderer
 * @property {(topic: string, state: string) => void} state - called for each state that is newer
 *   than the one shown
 * @property {() => void} begin - called once if there is no state, for want of a connection
 * @property {() => void} clicked - a click waits for an answer
 * @property {(counted: Click[]) => void} answered - clicks wait no more; those that have been
 *   counted are in a state that the renderer was given before
 * @property {() => void} connected - all that wait are sent again, and may have been counted before
 */

const now = () => performance.now();

// 128 random bits as base64url. (crypto.randomUUID exists on https only.)
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** One load of a page. */
class Tab {
  #root;
  #url;
  #topic;
  #outbox;
  #view = new View();
  #controls;
  #versions = new Versions();
  #watchdog = new Watchdog(now);
  #uptime = new Uptime(now);
  #checked = Date.now();
  #id = newId();
  #server = this.#view.state; // what the server last said of itself

  /** @type {Set<string>} ops that the server could not take yet */
  #refused = new Set();
  #retries = new Backoff(RETRY_MIN, RETRY_MAX, Math.random);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;

  /** @type {Renderer | null} is to render this tab; null: the server */
  #renderer = null;
  #rendersItself = false; // the renderer has a state

  /**
   * @param {HTMLElement} root - the element with hx-ws:connect
   * @param {Controls} controls
   */
  constructor(root, controls) {
    this.#root = root;
    this.#controls = controls;
    this.#url = root.getAttribute('hx-ws:connect') ?? '';
    const key = `outbox:${this.#url.split('?')[0]}`; // what follows is of this page load
    this.#outbox = new Outbox(key, { storage: () => sessionStorage, now, date: () => Date.now(), newId });
    /** @type {HTMLElement | null} */
    const room = root.querySelector('[data-topic]');
    const { topic, epoch, version } = room?.dataset ?? {};
    this.#topic = topic;
    this.#versions.show(topic, [Number(epoch) || 0, Number(version) || 0]);
  }

  start() {
    this.#root.renderWith = (renderer) => this.#renderWith(renderer);
    this.#root.reconnect = () => this.#reconnect();
    this.#root.waiting = () => this.#outbox.clicks();
    setInterval(() => this.#check(), CHECK);
    addEventListener('online', () => this.#prove(true));
    addEventListener('pageshow', (e) => e.persisted && this.#prove());
    document.addEventListener('resume', () => this.#prove());
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
    this.#refresh();
    try {
      if (localStorage.plain) this.#goPlain(); // see plain.js
    } catch {
      // Storage is blocked.
    }
  }

  // ---- clicks ----

  /**
   * @param {Element} sender - the form, or the control, that it comes from
   * @param {Record<string, unknown>} values - of the form
   * @returns {Click | null} null if there is no room
   */
  #keep(sender, values) {
    this.#view.tell('');
    const click = this.#outbox.add(values);
    if (!click) {
      this.#view.tellFull();
      return null;
    }
    this.#controls.send(click.op, sender);
    this.#renderer?.clicked();
    this.#refresh();
    return click;
  }

  /** @param {string[]} ops */
  #settle(ops) {
    const counted = this.#outbox.settle(ops);
    for (const op of ops) this.#controls.answer(op, true);
    if (!this.#outbox.size) this.#view.untellFull();
    this.#retries.reset();
    this.#renderer?.answered(counted);
  }

  /** @param {Refusal} refusal */
  #refuse({ op, error, retry }) {
    if (!retry) {
      this.#outbox.remove(op);
      if (op) this.#controls.answer(op, false);
      this.#renderer?.answered([]);
      this.#view.tell(error);
    } else if (op !== undefined && this.#outbox.has(op)) {
      this.#refused.add(op);
      this.#retryTimer ??= setTimeout(() => this.#retry(), this.#retries.pause());
    }
  }

  #retry() {
    this.#retryTimer = undefined;
    this.#retries.grow();
    this.#deliver((op) => this.#refused.has(op));
    this.#refused.clear();
  }

  /**
   * Sends clicks again.
   * @param {(op: string) => boolean} [wanted] - all by default
   */
  #deliver(wanted) {
    for (const click of this.#outbox.again(wanted)) {
      this.#watchdog.ask();
      this.#send(click);
    }
  }

  // ---- the connection ----

  get #connection() {
    return this.#root._htmx?.ws?.connection;
  }

  get #socket() {
    return this.#connection?.socket;
  }

  #isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** @param {object} message - one that the next connection sends too, if there is none now */
  #send(message) {
    if (this.#isOpen()) this.#socket?.send(JSON.stringify(message));
  }

  /** @param {true} [prove] - the server is to answer */
  #hello(prove) {
    const [e, v] = this.#versions.of(this.#topic);
    this.#send({ hello: 1, tab: this.#id, e, v, prove, ...(this.#renderer && { as: 'data' }) });
  }

  // Starts over at once, hidden or not. hx-ws has no call for that, but it connects again after a
  // socket has closed, and lets go of that one. Without a socket there is nothing to wait for.
  #reconnect() {
    this.#uptime.lost(this.#watchdog.doubtedFor);
    const c = this.#connection;
    if (!c?.socket) return htmx.process(this.#root, true);
    const { reconnectDelay } = c.config;
    clearTimeout(c.timer ?? undefined);
    c.attempt = c.config.reconnectDelay = 0;
    c.socket.dispatchEvent(new CloseEvent('close'));
    c.config.reconnectDelay = reconnectDelay;
    this.#watchdog.see(null);
  }

  /**
   * Something has happened through which a connection may end without a word. One that does not
   * prove that it is alive is given up.
   * @param {boolean} [anew] - an attempt that has begun is given up as well
   */
  #prove(anew) {
    if (!this.#isOpen()) {
      if (anew || this.#socket?.readyState !== WebSocket.CONNECTING) this.#reconnect();
    } else if (this.#watchdog.doubt()) {
      this.#hello(true);
      setTimeout(() => this.#check(), this.#watchdog.proofTimeout + 1);
    }
  }

  // Timers stop while the computer sleeps, and those of a hidden page may be late.
  #check() {
    const slept = Date.now() - this.#checked > SLEEP_GAP && !document.hidden;
    this.#checked = Date.now();
    this.#watchdog.see(this.#socket);
    if (this.#watchdog.hangs(this.#server === 'live')) {
      if (!this.#isOpen()) this.#renew(CONNECT_TIMEOUT / 4);
      this.#reconnect();
    } else if (slept || this.#watchdog.quiet) this.#prove();
  }

  #visibilityChanged() {
    this.#uptime.forgive();
    if (!document.hidden) this.#prove();
    this.#refresh();
  }

  // Asks a server that can't be connected to by way of HTTP, which gives the reason. If it is well
  // but for the upgrade, the network has no sockets; an attempt that hung says nothing of that
  // where HTTP is as slow. If this page's session has ended, a new page has another, and takes over
  // the clicks that wait. Not again and again: the reason may be another one that looks the same.
  async #renew(quick = CONNECT_TIMEOUT) {
    try {
      const asked = Date.now();
      const { status, headers } = await fetch(this.#url, { signal: AbortSignal.timeout(CONNECT_TIMEOUT) });
      const why = headers.get('Lockstep-Problem');
      if (why) this.#view.tell(why);
      if (status === 426 && Date.now() - asked < quick) return this.#goPlain();
      if (status !== 403 || Date.now() - (sessionStorage.renewed ?? 0) < RENEW) return;
      sessionStorage.renewed = Date.now();
      location.reload();
    } catch {
      // Away, or storage is blocked.
    }
  }

  #goPlain() {
    const { plain } = this.#root.dataset;
    if (this.#root.usePlain) this.#root.usePlain();
    else if (plain) import(plain).catch(() => {}); // the next failure tries again
  }

  #refresh() {
    this.#view.show(() => ({
      downFor: this.#uptime.downFor, age: this.#outbox.age, clicks: this.#outbox.size, server: this.#server,
    }));
  }

  // ---- what hx-ws says ----

  /** @param {HxWsConnection} c */
  opened(c) {
    this.#uptime.opened();
    this.#watchdog.see(c.socket);
    c.queue.length = 0; // the outbox takes its place
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#refused.clear();
    this.#hello();
    this.#renderer?.connected();
    this.#deliver();
    this.#refresh();
  }

  /**
   * hx-ws gives up for good on a code that it does not know: it is to know this one.
   * @param {HxWsConnection} c
   * @param {number | null} code
   */
  closed(c, code) {
    this.#watchdog.progress();
    this.#renderAlone();
    const worked = this.#uptime.closed();
    c.config.reconnectCodes = [code];
    c.attempt = this.#uptime.attempt(c.attempt);
    if (c.attempt > (worked ? 1 : 0)) this.#renew();
    this.#refresh();
  }

  /**
   * A click is to be sent. False: not now.
   * @param {Element} sender
   * @param {HxWsOutgoing} message
   */
  outgoing(sender, message) {
    const click = this.#keep(sender, message.values);
    if (!click || !this.#isOpen()) return false;
    this.#watchdog.ask();
    message.data = JSON.stringify(click);
  }

  /**
   * A message has come. False: hx-ws must not show it.
   * @param {unknown} data
   */
  incoming(data) {
    if (this.#isOpen()) { // else it has waited for what was shown before it
      this.#uptime.heard();
      this.#watchdog.hear();
    }
    const { status, beat, proof, acked, refusal, update } = read(data);
    if (status) this.#server = status;
    if (beat) this.#watchdog.beat(beat);
    if (proof) this.#watchdog.proven();
    if (acked) this.#settle(acked);
    if (refusal) this.#refuse(refusal);
    this.#refresh();
    if (update) return this.#update(update);
  }

  /** @param {Update} update */
  #update({ topic, at, back, content, state }) {
    if (!back && this.#versions.isOlder(topic, at)) return false;
    if (this.#rendersItself && content !== undefined) return false; // the server did not know it yet
    this.#versions.show(topic, at);
    if (state === undefined || !this.#renderer) return;
    this.#rendersItself = true;
    this.#renderer.state(topic, state);
  }

  /**
   * hx-ws drops a click when it has no connection object: keeps it, and begins anew.
   * @param {HTMLFormElement} form
   */
  dropped(form) {
    this.#keep(form, Object.fromEntries(new FormData(form)));
    this.#reconnect();
  }

  // ---- for replica.js ----

  // A tab that can not be told a state begins with the one on the page.
  /** @param {Renderer | null} renderer */
  #renderWith(renderer) {
    this.#renderer = renderer;
    this.#rendersItself = false;
    this.#hello();
    if (!this.#isOpen()) this.#renderAlone();
  }

  #renderAlone() {
    if (!this.#renderer || this.#rendersItself) return;
    this.#rendersItself = true;
    this.#renderer.begin();
  }
}

/** @param {HTMLElement} root */
function start(root) {
  const controls = new Controls();
  const tab = new Tab(root, controls);
  // The only way by which text becomes HTML here (Trusted Types): what the server renders, which
  // escapes. Never a script.
  const rules = { createHTML: (/** @type {string} */ html) => html, createScript: () => '' };
  const policy = self.trustedTypes?.createPolicy('htmx', rules);
  htmx.registerExtension('live', {
    init: (api) => api.initSecurity(policy),
    htmx_after_process: (element) => controls.learn(element),
    htmx_before_swap: () => controls.hold(),
    htmx_before_morph_node: (element, { newNode }) => controls.fold(element, newNode),
    htmx_before_settle: (target) => controls.settle(target),
    // hx-ws ends the connection of a hidden page, and makes none: here every tab stays in step.
    htmx_ws_before_connection(_, { connection }) {
      connection.config.pauseOnBackground = false;
    },
    htmx_ws_after_connection: (_, { connection }) => tab.opened(connection),
    htmx_ws_close: (_, { connection, code }) => tab.closed(connection, code),
    htmx_ws_before_message_outgoing: (sender, { message }) => tab.outgoing(sender, message),
    htmx_ws_before_message_incoming: (_, { message }) => tab.incoming(message.data),
    htmx_ws_error(element, { connection, url }) {
      if (!connection && url) tab.dropped(/** @type {HTMLFormElement} */ (element));
    },
  });
  controls.start(root);
  tab.start();
  new Voice(root).start();
}

/** @type {HTMLElement | null} */
const root = document.querySelector('[hx-ws\\:connect]');
if (root) start(root);
