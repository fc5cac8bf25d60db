// live.js is what a page of Lockstep adds to htmx and its extension hx-ws: a click is kept until
// the server answers it, across lost connections, reloads and closed pages, and sent again as the
// same; a state older than the one on the page is never shown; the page always tries to connect
// again, and the badge says how it is.
//
// It forks nothing: it is an htmx extension that listens to hx-ws and uses the connection object
// that hx-ws hands out (htmx.d.ts). The wire format is the one of Go package lockstep/htmx.

import { claims } from './claims.js';
import { CONNECT_TIMEOUT, MAX_EVENT, SLEEP_GAP } from './constants.js';
import { Controls } from './controls.js';
import { Database, nameOf } from './database.js';
import { castOf, fieldsOf, isSecret } from './fields.js';
import { Casts } from './tab/casts.js';
import { input } from './tab/input.js';
import { read } from './tab/message.js';
import { size } from './tab/outbox.js';
import { Pace } from './tab/pace.js';
import { Paints } from './tab/paints.js';
import { Post } from './tab/post.js';
import { Uptime } from './tab/uptime.js';
import { Versions } from './tab/versions.js';
import { Watchdog } from './tab/watchdog.js';
import { View } from './view.js';
import { Voice } from './voice.js';

/**
 * @import { Answer, At, Update } from './tab/message.js'
 * @import { Op } from './tab/outbox.js'
 */

const RENEW = 60 * 1000; // ms between two reloads that are to bring a new session
const CHECK = 1000; // ms between two checks of the connection, or two hellos that miss something

/**
 * What renders this tab instead of the server: see replica.js.
 * @typedef {object} Renderer
 * @property {(update: Update) => boolean} state - called for each state that is newer than the one
 *   shown, or for what has changed since a version that was: then whether it lacks that
 * @property {() => void} clicked - an op waits for an answer
 * @property {(op: Op, counted: boolean, at?: At) => void} answered - an op has its answer, or
 *   was put off; one that was counted is in a state that the renderer was given before, and in none
 *   before that of at, if that is known
 */

const now = () => performance.now();

/** @type {import('./tab/pace.js').Clock} */
const clock = { now, later: (job, ms) => setTimeout(job, ms), cancel: (timer) => clearTimeout(timer) };

// 128 random bits as base64url. (crypto.randomUUID exists on https only.)
function newClient() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

// Removes the clicks that a page of version 1 of the protocol has left in this tab, and counts
// them: they have other names, so that nobody can tell any more whether they were counted.
function former() {
  let n = 0;
  try {
    for (const [key, left] of Object.entries(sessionStorage)) {
      if (!key.startsWith('outbox:')) continue;
      sessionStorage.removeItem(key);
      n += JSON.parse(left).length || 0;
    }
  } catch {
    // Storage is blocked, or holds something foreign.
  }
  return n;
}

/** @param {BeforeUnloadEvent} e */
const ask = (e) => e.preventDefault();

/** One load of a page. */
class Tab {
  #root;
  #url;
  /** @type {Record<string, string>} */
  #grants;
  #post;
  #casts = new Casts(clock, (cast) => this.#cast(cast));
  #view = new View();
  #controls;
  #versions = new Versions();
  #again = new Pace(() => this.#hello(), clock);
  #paints = new Paints({
    now, hidden: () => document.hidden, send: (cast) => this.#cast(cast),
    frame: (job) => requestAnimationFrame(() => setTimeout(job)),
  });
  /** @type {Update | undefined} is being put on the page */
  #coming;
  #watchdog = new Watchdog(now);
  #uptime = new Uptime(now);
  #checked = Date.now();
  #client = newClient();
  #server = this.#view.state; // what the server last said of itself

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
    this.#grants = JSON.parse(root.dataset.grants || '{}');
    const client = this.#client, name = nameOf(this.#url);
    this.#post = new Post({
      ...clock, client, user: root.dataset.user ?? '', grants: this.#grants,
      store: new Database(name), claims: claims(name, client), date: () => Date.now(), random: Math.random,
    }, {
      send: (message) => this.#sendOp(message),
      changed: () => this.#refresh(),
      adopted: (op) => this.#say('kept', { op }),
      answered: (op, answer) => this.#answered(op, answer),
      refused: (op, reason) => this.#refused(op, reason),
      lost: (n) => this.#view.lose(n),
      others: () => this.#others(),
    });
    this.#look();
  }

  start() {
    this.#root.renderWith = (renderer, begins) => this.#renderWith(renderer, begins);
    this.#root.versions = this.#versions;
    this.#root.reconnect = () => this.#reconnect();
    this.#root.post = this.#post;
    this.#root.cast = (cast) => this.#casts.add(cast);
    this.#root.rooms = (socket, grants) => this.#turn(socket, grants);
    this.#root.addEventListener('submit', (e) => this.#submitted(e));
    for (const type of ['input', 'change']) this.#root.addEventListener(type, (e) => this.#changed(e.target));
    setInterval(() => this.#check(), CHECK);
    addEventListener('online', () => this.#prove(true));
    addEventListener('pageshow', (e) => e.persisted && this.#resume());
    addEventListener('pagehide', () => this.#post.leave());
    document.addEventListener('resume', () => this.#resume());
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
    const xray = document.getElementById('xray');
    xray?.addEventListener('toggle', () => import(xray.dataset.script ?? '').catch(() => {})); // or the next time
    this.#post.begin();
    const n = former();
    if (n) this.#view.lose(n);
    this.#refresh();
    const page = this.#root.dataset;
    try {
      if (page.former) localStorage.former = `${page.user} ${page.former}`; // see others.js
      if (localStorage.plain) this.#goPlain(); // see plain.js
    } catch {
      // Storage is blocked.
    }
  }

  // ---- clicks ----

  /** @param {SubmitEvent} e */
  #submitted(e) {
    const form = /** @type {HTMLFormElement} */ (e.target);
    if (!isWhole(form)) return;
    e.preventDefault();
    this.#keep(form, fieldsOf(form, e.submitter));
    if (!this.#connection) this.#reconnect();
  }

  /**
   * @param {Element} sender - the form, or the control, that it comes from
   * @param {Iterable<[string, unknown]>} fields
   */
  #keep(sender, fields) {
    this.#view.tell('');
    /** @type {HTMLElement | null} */
    const action = sender.closest('[data-do]');
    const topic = /** @type {HTMLElement | null} */ (action?.closest('[data-topic]'))?.dataset.topic;
    if (!action || !topic) return;
    const values = input(fields);
    if (!values) return this.#view.tellOf('file');
    const op = this.#post.add({ topic, do: action.dataset.do ?? '', in: values }, isSecret(sender));
    if (typeof op === 'string') return this.#view.tellOf(op);
    this.#controls.send(op.id, sender);
    this.#say('kept', { op, sender });
    this.#renderer?.clicked();
    this.#refresh();
  }

  /** @param {object} message */
  #sendOp(message) {
    if ('op' in message) this.#watchdog.ask();
    this.#send(message);
  }

  /**
   * @param {Op} op
   * @param {Answer | null} answer
   */
  #answered(op, answer) {
    const verdict = answer?.verdict, refused = verdict === 'refused';
    this.#controls.answer(op.id, !refused);
    if (!this.#post.status.clicks) this.#view.untell();
    if (this.#say('answered', { op, answer }) && refused) this.#view.tell(answer?.reason ?? '');
    this.#renderer?.answered(op, verdict === 'ack', answer?.at);
    this.#refresh();
  }

  /**
   * @param {Op} op
   * @param {string} reason - may be empty
   */
  #refused(op, reason) {
    if (reason) this.#view.tell(reason, true);
    this.#renderer?.answered(op, false);
  }

  /**
   * Says to other scripts what becomes of an op: see htmx.d.ts.
   * @param {string} what
   * @param {object} [detail]
   * @returns {boolean} false: one of them sees to it
   */
  #say(what, detail) {
    return this.#root.dispatchEvent(new CustomEvent(`op:${what}`, { cancelable: true, detail }));
  }

  // This page may not send all that it has found.
  #others() {
    const { others } = this.#root.dataset;
    if (others) import(others).then(() => this.#root.others?.(), () => {}); // the next time it tries again
  }

  // ---- casts ----

  /** @param {EventTarget | null} target - somebody has changed it */
  #changed(target) {
    const cast = castOf(/** @type {Element} */ (target));
    if (cast) this.#casts.add(cast);
  }

  /** @param {object} cast */
  #cast(cast) {
    const known = this.#uptime.downFor === null; // the server has spoken
    if (known && size(cast) <= MAX_EVENT) this.#send(cast);
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
    const as = this.#renderer ? 'data' : undefined;
    this.#send({ hello: 2, client: this.#client, at: this.#versions.all(), as, prove });
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
    } else if (slept) this.#resume();
    else if (this.#watchdog.quiet) this.#prove();
    this.#post.check();
  }

  // The page has not run for a while.
  #resume() {
    this.#prove();
    this.#post.resume();
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
    this.#say('changed');
    this.#view.show(() => ({ downFor: this.#uptime.downFor, server: this.#server, ...this.#post.status }));
    const listen = this.#post.status.kept === 'no' ? addEventListener : removeEventListener;
    listen('beforeunload', ask);
  }

  // ---- what hx-ws says ----

  /** @param {HxWsConnection} c */
  opened(c) {
    this.#uptime.opened();
    this.#watchdog.see(c.socket);
    c.queue.length = 0; // the outbox takes its place
    this.#paints.ask(0);
    this.#post.opened();
    this.#hello();
    this.#refresh();
  }

  /**
   * hx-ws gives up for good on a code that it does not know: it is to know this one.
   * @param {HxWsConnection} c
   * @param {number | null} code
   */
  closed(c, code) {
    this.#watchdog.progress();
    this.#post.closed();
    const worked = this.#uptime.closed();
    c.config.reconnectCodes = [code];
    c.attempt = this.#uptime.attempt(c.attempt);
    if (c.attempt > (worked ? 1 : 0)) this.#renew();
    this.#refresh();
  }

  /**
   * hx-ws is to send something. It does not, for what is kept is sent in its turn.
   * @param {Element} sender
   * @returns {false}
   */
  outgoing(sender) {
    // A whole form was seen when it was submitted.
    if (!isWhole(sender)) this.#keep(sender, fieldsOf(sender));
    return false;
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
    const message = read(data);
    if (message.status) this.#server = message.status;
    if (message.beat) this.#watchdog.beat(message.beat);
    if (message.paint) this.#paints.ask(message.paint);
    if (message.proof) this.#watchdog.proven();
    if (message.clock) this.#post.hear(message.clock);
    for (const answer of message.answers) this.#post.answer(answer);
    if (message.complaint) this.#view.tell(message.complaint);
    this.#refresh();
    if (message.update) return this.#update(message.update);
  }

  /** @param {Update} update */
  #update(update) {
    const { topic, at, base, back, content, state } = update;
    if (!back && this.#versions.isOlder(topic, at)) return false;
    if (this.#rendersItself && content !== undefined) return false; // the server did not know it yet
    if (base !== undefined && (back || !this.#versions.reaches(topic, at, base))) return this.#anew();
    this.#versions.show(topic, at);
    this.#coming = update;
    if (state === undefined) return;
    this.#rendersItself = !!this.#renderer;
    if (this.#renderer?.state(update)) this.came();
  }

  /**
   * Something is missing between what is shown and what has come.
   * @returns {false}
   */
  #anew() {
    this.#again.ask(CHECK);
    return false;
  }

  /**
   * What has come is on the page, whose rooms say so; or it could not be put there.
   * @param {boolean} [shown]
   */
  came(shown) {
    if (!this.#coming) return;
    const { topic, at } = this.#coming;
    this.#coming = undefined;
    if (!shown) {
      this.#versions.show(topic, [0, 0]);
      return this.#anew();
    }
    for (const { dataset } of this.#rooms()) {
      if (dataset.topic === topic) [dataset.epoch, dataset.version] = /** @type {any} */ (at);
    }
    this.#paints.shown(topic, at);
  }

  /**
   * The page shows the rooms of another now: the connection stays, and the next is made for it.
   * @param {string} socket
   * @param {Record<string, string>} grants
   */
  #turn(socket, grants) {
    Object.assign(this.#grants, grants);
    this.#root.setAttribute('hx-ws:connect', socket);
    this.#url = socket;
    if (this.#connection) this.#connection.url = new URL(socket, location.href).href.replace(/^http/, 'ws');
    this.#look();
    this.#send({ rooms: socket });
    this.#hello();
    this.#refresh();
  }

  // Takes in what the page shows.
  #look() {
    for (const { dataset: { topic, epoch, version } } of this.#rooms()) {
      this.#versions.show(topic ?? '', [Number(epoch) || 0, Number(version) || 0]);
    }
  }

  /** @returns {NodeListOf<HTMLElement>} */
  #rooms() {
    return this.#root.querySelectorAll('[data-topic][data-version]');
  }

  /**
   * hx-ws drops a click when it has no connection object: keeps it, and begins anew.
   * @param {Element} sender
   */
  dropped(sender) {
    if (isWhole(sender)) return; // it was kept when it was submitted
    this.#keep(sender, fieldsOf(sender));
    this.#reconnect();
  }

  // ---- for replica.js ----

  /**
   * @param {Renderer | null} renderer
   * @param {boolean} begins - it has a state already
   */
  #renderWith(renderer, begins = false) {
    this.#renderer = renderer;
    this.#rendersItself = begins;
    this.#hello();
  }
}

/**
 * A form that is sent when it is submitted, as it is then: hx-ws leaves out some fields, and comes
 * later.
 * @param {Element} el
 */
const isWhole = (el) => el.matches('form[data-do]:not([hx-trigger])');

/** @param {HTMLElement} root */
function start(root) {
  const controls = new Controls();
  const tab = new Tab(root, controls);
  // The only way by which text becomes HTML here (Trusted Types): what the server renders, which
  // escapes. Never a script.
  const rules = { createHTML: (/** @type {string} */ html) => html, createScript: () => '' };
  const policy = self.trustedTypes?.createPolicy('htmx', rules);
  root.policy = policy;
  htmx.registerExtension('live', {
    init: (api) => api.initSecurity(policy),
    htmx_after_process: (element) => controls.learn(element),
    htmx_before_swap: () => controls.hold(),
    htmx_before_morph_node: (element, { newNode }) => controls.fold(element, newNode),
    htmx_before_settle(target, { task }) {
      for (const el of task.swapSpec.touched ?? [target]) controls.settle(el);
    },
    // hx-ws ends the connection of a hidden page, and makes none: here every tab stays in step.
    // And a page with lists whose script could not be loaded must not say that it is in step.
    htmx_ws_before_connection(_, { connection }) {
      connection.config.pauseOnBackground = false;
      return !root.querySelector('[data-list]') || !!root.lists;
    },
    htmx_ws_after_connection: (_, { connection }) => tab.opened(connection),
    htmx_ws_close: (_, { connection, code }) => tab.closed(connection, code),
    htmx_ws_before_message_outgoing: (sender) => tab.outgoing(sender),
    htmx_ws_before_message_incoming: (_, { message }) => tab.incoming(message.data),
    htmx_ws_after_message_incoming: () => tab.came(true),
    htmx_ws_error(element, { connection, url }) {
      tab.came(false);
      if (!connection && url) tab.dropped(element);
    },
  });
  controls.start(root);
  tab.start();
  new Voice(root, clock).start();
}

/** @type {HTMLElement | null} */
const root = document.querySelector('[hx-ws\\:connect]');
if (root) start(root);
