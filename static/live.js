// live.js is what a page of Lockstep adds to htmx and its extension hx-ws:
// a click is kept until the server acknowledges it, across lost connections
// and reloads, and sent again with the same id; a state older than the one on
// the page is never shown; a connection is never given up, and the badge says
// how it is.
//
// It forks nothing: it is an htmx extension that listens to hx-ws and uses the
// connection object that hx-ws hands out (socket, timer, attempt, config; htmx
// 4.0.1). The wire format is the one of Go package lockstep/htmx.
(() => {
  'use strict';

  // Times in milliseconds.
  const GRACE = 400; // not connected for so long before the badge says so: quick reconnects don't flicker
  const WAITING = 600; // a click unacknowledged for so long is shown as waiting
  const CONNECT = 5000; // an attempt to connect may take so long
  const SILENCE = 45000; // the server says something every 20 s
  const PAUSE = 8000; // hx-ws waits at most 5 s between two attempts
  const SHORT = 10000; // a connection that ends sooner did not work
  const RETRY = { min: 1000, max: 5000 }; // between resends of what the server could not take
  const ANSWER = 8000; // a click is answered sooner by a server that is well
  const OUTBOX = 200; // clicks that may wait

  const root = document.querySelector('[hx-ws\\:connect]');
  if (!root) return;

  const now = () => performance.now();
  // A part of the page, or a stand-in: a page may leave parts out.
  const part = (id) => document.getElementById(id) ?? document.createElement('p');
  const badge = part('status'), waiting = part('waiting'), notice = part('notice');

  const tab = random(); // names this page load
  const shown = root.querySelector('[data-topic]')?.dataset ?? {};
  const seen = new Map([[shown.topic, [Number(shown.epoch) || 0, Number(shown.version) || 0]]]); // topic → [epoch, version]

  let server = badge.dataset.state; // what the server last said of itself
  let down = now(), up = null; // since when there is no connection, or is one; the other is null
  let flaps = 0; // short connections in a row
  let watched, progress = now(); // the socket and when it last did something
  let renderer = null; // is to render this tab, instead of the server: see replica.js
  let itself = false; // and does, since it has a state
  let asked = null; // when the first click was sent that nothing has answered since

  // 128 random bits as base64url. (crypto.randomUUID exists on https only.)
  function random() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  }

  // ---- the outbox: op → {message, since, made}, in the order of the clicks ----

  const url = root.getAttribute('hx-ws:connect');
  const key = 'outbox:' + url.split('?')[0]; // what follows is of this page load
  const outbox = load();
  const again = new Set(); // ops the server could not take yet
  let retryTimer, retryDelay = RETRY.min;

  function load() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(key)) ?? [];
      const ours = kept.filter((o) => typeof o.message?.op === 'string');
      return new Map(ours.map((o) => [o.message.op, { ...o, since: now() }]));
    } catch {
      return new Map(); // storage is blocked, or holds something foreign
    }
  }

  function save() {
    try {
      if (outbox.size) sessionStorage.setItem(key, JSON.stringify([...outbox.values()].map(({ message, made }) => ({ message, made }))));
      else sessionStorage.removeItem(key);
    } catch {
      // Blocked or full: the clicks live as long as the page.
    }
  }

  // Puts a click into the outbox. Returns its message, or null if there is no room.
  function keep(values) {
    tell('');
    if (outbox.size >= OUTBOX) {
      tell(notice.dataset.full);
      return null;
    }
    // Names with "_" are for the form without JavaScript.
    const message = Object.fromEntries(Object.entries(values).filter(([name]) => !name.startsWith('_')));
    message.op = random();
    outbox.set(message.op, { message, since: now(), made: Date.now() });
    save();
    renderer?.clicked();
    refresh();
    return message;
  }

  function settle(ops) {
    const counted = ops.filter((op) => outbox.has(op)).map((op) => outbox.get(op).message);
    ops.forEach((op) => outbox.delete(op));
    if (!outbox.size && notice.textContent === notice.dataset.full) tell('');
    retryDelay = RETRY.min;
    save();
    renderer?.answered(counted);
  }

  function refused({ op, error, retry }) {
    if (!retry) {
      outbox.delete(op);
      save();
      renderer?.answered([]);
      tell(error);
    } else if (outbox.has(op)) {
      again.add(op);
      retryTimer ??= setTimeout(resend, retryDelay * (0.75 + Math.random() / 2));
    }
  }

  function resend() {
    retryTimer = undefined;
    retryDelay = Math.min(retryDelay * 2, RETRY.max);
    for (const [op, kept] of outbox) if (again.has(op)) deliver(kept);
    again.clear();
  }

  // ---- the connection ----

  const connection = () => root._htmx?.ws?.connection;
  const socket = () => connection()?.socket;
  const isOpen = () => socket()?.readyState === WebSocket.OPEN;

  function hello() {
    const [e, v] = seen.get(shown.topic);
    send({ hello: 1, tab, e, v, ...(renderer && { as: 'data' }) });
  }

  function send(message) {
    if (isOpen()) socket().send(JSON.stringify(message)); // otherwise the next connection sends it
  }

  // Sends a click again, with its age in seconds: the server refuses what it may have counted and forgotten. The one clock stops
  // while the computer sleeps, the other may be set.
  function deliver({ message, since, made }) {
    asked ??= now();
    send({ ...message, age: Math.floor(Math.max(now() - since, Date.now() - made) / 1000) });
  }

  // Starts over at once. hx-ws has no call for that but what it does when a page without a socket becomes visible. A hidden page
  // is left to the timer of hx-ws.
  function reconnect() {
    if (document.hidden) return;
    down ??= now();
    progress = now();
    const c = connection(), old = socket();
    if (!c) return htmx.process(root, true);
    clearTimeout(c.timer);
    c.socket = null;
    old?.close();
    c.visibilityHandler?.();
  }

  // Notices a connection that hangs: a half-open one says nothing, a frozen server accepts and never answers.
  function watch() {
    if (socket() !== watched) {
      watched = socket();
      progress = now();
    }
    const limit = [CONNECT, SILENCE, CONNECT, PAUSE][watched?.readyState] ?? CONNECT; // by readyState
    const hangs = isOpen() && server === 'live' && asked !== null && now() - asked > ANSWER;
    if (hangs || now() - progress > limit) reconnect();
  }

  setInterval(watch, 1000);
  addEventListener('online', reconnect);
  addEventListener('pageshow', (e) => {
    if (e.persisted && !(socket()?.readyState <= WebSocket.OPEN)) reconnect();
  });
  document.addEventListener('visibilitychange', () => {
    progress = now();
    if (down !== null) down = now(); // a page that comes back gets its grace
    if (!(socket()?.readyState <= WebSocket.OPEN)) reconnect();
    refresh();
  });

  // Asks a server that can't be connected to by way of HTTP, which gives the reason: if this page's session has ended, a new page
  // has another, and takes over the clicks that wait. Not again and again: the reason may be another one that looks the same.
  async function renew() {
    try {
      if ((await fetch(url)).status !== 403 || Date.now() - (sessionStorage.renewed ?? 0) < 60000) return;
      sessionStorage.renewed = Date.now();
      location.reload();
    } catch {
      // Away, or storage is blocked.
    }
  }

  // ---- what the person sees ----

  let timer;
  function refresh() {
    clearTimeout(timer);
    const closed = down === null ? 0 : now() - down;
    const state = down === null ? server : closed >= GRACE && !document.hidden ? 'offline' : badge.dataset.state;
    if (badge.dataset.state !== state) badge.dataset.state = state;

    const [oldest] = outbox.values();
    const age = oldest ? now() - oldest.since : 0;
    waiting.hidden = age < WAITING;
    waiting.dataset.n = outbox.size;
    if (waiting.firstElementChild) waiting.firstElementChild.textContent = outbox.size;

    const due = Math.min(
      down !== null && closed < GRACE ? GRACE - closed : Infinity,
      oldest && age < WAITING ? WAITING - age : Infinity,
    );
    if (due < Infinity) timer = setTimeout(refresh, due + 1);
  }

  function tell(text) {
    if (notice.textContent !== text) notice.textContent = text;
  }

  // ---- what hx-ws says ----

  function parse(data) {
    try {
      return Object(JSON.parse(data));
    } catch {
      return {}; // plain HTML
    }
  }

  // The only way by which text becomes HTML here (Trusted Types): what the server renders, which escapes. Never a script.
  const policy = self.trustedTypes?.createPolicy('htmx', { createHTML: (html) => html, createScript: () => '' });

  htmx.registerExtension('live', {
    init: (api) => api.initSecurity(policy),

    htmx_ws_after_connection(_, { connection: c }) {
      down = asked = null;
      up = progress = now();
      c.queue.length = 0; // the outbox takes its place
      // hx-ws closes the socket of a hidden page; here every open tab stays in step.
      document.removeEventListener('visibilitychange', c.visibilityHandler);
      c.config.pauseOnBackground = false;
      clearTimeout(retryTimer);
      retryTimer = undefined;
      again.clear();
      hello();
      renderer?.connected();
      for (const kept of outbox.values()) deliver(kept);
      refresh();
    },

    htmx_ws_close(_, { connection: c, code }) {
      down ??= now();
      progress = now();
      alone();
      // hx-ws gives up for good on a code it does not know, and forgets its backoff whenever a connection opens: one that is
      // accepted and closed at once would come back at full speed.
      flaps = up !== null && now() - up < SHORT ? flaps + 1 : 0;
      if (up === null && c.attempt > 1) renew();
      up = null;
      c.config.reconnectCodes = [code];
      c.attempt = Math.max(c.attempt, flaps - 1);
      refresh();
    },

    htmx_ws_before_message_outgoing(_, { message }) {
      const kept = keep(message.values);
      if (!kept || !isOpen()) return false;
      asked ??= now();
      message.data = JSON.stringify(kept);
    },

    htmx_ws_before_message_incoming(_, { message }) {
      progress = now();
      asked = null;
      const m = parse(message.data);
      if (m.status) server = m.status;
      if (m.ack) settle(m.ack);
      if (m.error !== undefined) refused(m);
      refresh();
      if (m.t === undefined || m.v === undefined) return;
      const [e, v] = seen.get(m.t) ?? [0, 0];
      if (m.e < e || (m.e === e && m.v < v)) return false; // a replica that lags behind
      if (itself && m.content !== undefined) return false; // sent before the server knew that this tab renders itself
      seen.set(m.t, [m.e, m.v]);
      if (m.state === undefined || !renderer) return;
      itself = true;
      renderer.state(m.t, m.state);
    },

    htmx_ws_error(form, { connection: c, url }) {
      // hx-ws drops a click when it has no connection object: keep it, and begin anew.
      if (c || !url) return;
      keep(Object.fromEntries(new FormData(form)));
      reconnect();
    },
  });

  // ---- for replica.js ----

  // Has p render this tab as soon as there is a state; null: the server. p.state(topic, state) is called for each state that is
  // newer than the one shown, and p.begin() once if there is none, for want of a connection; p.clicked() when a click waits for an
  // answer, and p.answered(messages) when clicks don't any more: with those that have been counted, in a state that p has heard of
  // before; p.connected() when all that wait are sent again, which may have been counted before.
  root.renderWith = (p) => {
    renderer = p;
    itself = false;
    hello();
    if (!isOpen()) alone();
  };

  function alone() {
    if (!renderer || itself) return;
    itself = true;
    renderer.begin();
  }

  root.waiting = () => [...outbox.values()].map(({ message }) => message);

  refresh();
})();
