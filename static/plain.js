// plain.js stands in for websockets where a network has none: a proxy that refuses or swallows the
// upgrade. What the page sends goes by POST, what it is shown comes by a stream or, where something
// holds streams back, as the answer to a question from time to time. hx-ws and live.js see a
// WebSocket. live.js loads this when sockets fail and the server answers; a socket is tried again
// from time to time, and the page goes back to it. docs/protocol.md has the wire.

import {
  CONNECT_TIMEOUT, EXCHANGE_TIMEOUT, PROBE_TIMEOUT, SHORT_CONNECTION, SILENCE_TIMEOUT, SLOT_LIFETIME,
  STREAM_TIMEOUT,
} from './constants.js';
import { Events } from './tab/events.js';
import { batch, pack } from './tab/request.js';
import { Slots } from './tab/slots.js';
import { Way } from './tab/way.js';

const KEY = 'plain'; // in localStorage: the next page does not try in vain

const Native = WebSocket;
const root = /** @type {HTMLElement} */ (document.querySelector('[hx-ws\\:connect]'));
let plain = false; // new sockets are PlainSockets
let way = new Way();
const slots = new Slots(Math.random().toString(36).slice(2), { storage: () => localStorage, date: () => Date.now() });

/** @param {boolean} yes */
function remember(yes) {
  try {
    if (yes) localStorage.setItem(KEY, '1');
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is blocked: each page finds out by itself.
  }
}

// Whether all requests of this browser share one connection.
function multiplexed() {
  const [page] = performance.getEntriesByType('navigation');
  return /^h[23]/.test(/** @type {PerformanceNavigationTiming} */ (page)?.nextHopProtocol ?? '');
}

/**
 * Waits, but not longer than until the browser is online again or the tab is shown or hidden.
 * @param {number} ms
 * @returns {Promise<void>}
 */
function pause(ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener('online', done);
      document.removeEventListener('visibilitychange', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener('online', done);
    document.addEventListener('visibilitychange', done);
  });
}

/** A server, or a proxy, says that there is no room or no right. */
class Refused extends Error {}

/**
 * Does something while this tab is one of the few of this browser that may have a stream.
 * @param {() => Promise<boolean>} work
 * @returns {Promise<boolean>} what it returned; false if there are enough
 */
async function withSlot(work) {
  if (multiplexed()) return work();
  if (!slots.take()) return false;
  const timer = setInterval(() => slots.keep(), SLOT_LIFETIME / 4);
  const done = await work();
  clearInterval(timer);
  slots.free();
  return done;
}

/** A PlainSocket does over HTTP what a WebSocket does, as far as hx-ws and live.js use it. */
class PlainSocket extends EventTarget {
  /** @type {number} */
  readyState = Native.CONNECTING;
  #url;
  /** @type {string[]} messages to be sent */
  #queue = [];
  /** The last hello, which each request begins with. */
  #hello = '';
  /** @type {Promise<void> | null} the exchange under way: there is one at a time */
  #asking = null;
  /** @type {Set<AbortController>} requests under way */
  #requests = new Set();
  /** @type {AbortController | null} the stream under way */
  #stream = null;

  /** @param {string} url - of the socket */
  constructor(url) {
    super();
    this.#url = url.replace(/^ws/, 'http');
    this.#exchange(); // shows whether there is a way at all
  }

  /** @param {string} message */
  send(message) {
    if (this.readyState !== Native.OPEN) return;
    if (message.startsWith('{"hello"')) this.#greet(message);
    else this.#queue.push(message);
    this.#exchange();
  }

  close() {
    this.#end(1000, '');
  }

  // From a hello on, what is new comes in the form that it asks for. One that asks for a proof asks
  // once, and not with each request.
  /** @param {string} hello */
  #greet(hello) {
    const first = !this.#hello;
    const { prove, ...lasting } = JSON.parse(hello);
    if (prove) this.#queue.push(hello);
    this.#hello = JSON.stringify(lasting);
    if (first) this.#follow();
    else this.#stream?.abort(); // the next begins with this one
  }

  // ---- what is new ----

  async #follow() {
    while (this.readyState === Native.OPEN) {
      const may = way.streams({ hidden: document.hidden, multiplexed: multiplexed() });
      if (may && await withSlot(() => this.#listen())) continue;
      await pause(way.pause(document.hidden));
      if (this.readyState === Native.OPEN) await this.#exchange();
    }
  }

  /**
   * Has one stream, until it ends or the tab is hidden.
   * @returns {Promise<boolean>} false: it could not be had
   */
  async #listen() {
    const stop = new AbortController();
    this.#stream = stop;
    let timer = setTimeout(() => {
      way.held();
      stop.abort();
    }, STREAM_TIMEOUT);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENCE_TIMEOUT);
    };
    const hidden = () => {
      if (!way.streams({ hidden: document.hidden, multiplexed: multiplexed() })) stop.abort();
    };
    document.addEventListener('visibilitychange', hidden);
    try {
      const { code, reason } = await this.#request('&stream=1', [], stop, heard);
      if (code === 1000) return true; // it has lasted long enough
      await this.#asking; // what was sent before has its answer first
      this.#end(code, reason);
      return false;
    } catch (e) {
      if (stop.signal.aborted) return true;
      if (!(e instanceof Refused)) this.#lose();
      return false;
    } finally {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', hidden);
    }
  }

  // ---- messages ----

  // Sends what waits, and hears what there is. Returns when nothing waits any more.
  #exchange() {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask() {
    await null; // what is sent together goes together
    do {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), EXCHANGE_TIMEOUT + CONNECT_TIMEOUT);
      try {
        const { code, reason } = await this.#request('', batch(this.#queue), stop);
        if (code !== 1000) return this.#end(code, reason);
      } catch {
        return this.#lose();
      } finally {
        clearTimeout(timer);
      }
    } while (this.#queue.length);
  }

  /**
   * Makes a request, and takes the messages of the answer. Returns how it ends; an answer that is
   * cut off is an error.
   * @param {string} query
   * @param {string[]} messages
   * @param {AbortController} stop
   * @param {() => void} [heard] - called for each event
   * @returns {Promise<{ code: number, reason: string }>}
   */
  async #request(query, messages, stop, heard) {
    this.#requests.add(stop);
    try {
      const answer = await fetch(this.#url + query, {
        method: 'POST', signal: stop.signal, ...pack([this.#hello, ...messages]),
      });
      if (!answer.ok || !answer.body) throw new Refused(String(answer.status));
      return await this.#read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), heard);
    } finally {
      this.#requests.delete(stop);
    }
  }

  /**
   * @param {ReadableStreamDefaultReader<string>} reader
   * @param {() => void} [heard]
   */
  async #read(reader, heard) {
    const events = new Events();
    let end;
    for (;;) {
      const { done, value } = await reader.read();
      if (done && end) return end;
      if (done) throw new Error('it was cut off');
      for (const { data, close } of events.take(value)) {
        heard?.();
        end ??= close;
        if (data !== undefined) this.#take(data);
      }
    }
  }

  /** @param {string} data */
  #take(data) {
    if (this.readyState === Native.CONNECTING) {
      this.readyState = Native.OPEN;
      this.dispatchEvent(new Event('open'));
    }
    if (this.readyState === Native.OPEN) this.dispatchEvent(new MessageEvent('message', { data }));
  }

  // ---- the end ----

  // Ends it as a broken connection does.
  #lose() {
    if (this.readyState < Native.CLOSING) this.dispatchEvent(new Event('error'));
    this.#end(1006, '');
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (this.readyState >= Native.CLOSING) return;
    this.readyState = Native.CLOSED;
    for (const request of this.#requests) request.abort();
    this.dispatchEvent(new CloseEvent('close', { code, reason, wasClean: code !== 1006 }));
  }
}

// ---- the way back ----

/**
 * Reports whether a socket brings something and then stays open, for as long as one must that
 * counts as one that worked.
 * @param {string} url
 * @returns {Promise<boolean>}
 */
function works(url) {
  return new Promise((resolve) => {
    const socket = new Native(url);
    let timer = setTimeout(() => end(false), PROBE_TIMEOUT);
    /** @param {boolean} yes */
    const end = (yes) => {
      clearTimeout(timer);
      socket.onclose = socket.onmessage = null;
      socket.close();
      resolve(yes);
    };
    socket.onclose = () => end(false);
    socket.onmessage = () => {
      socket.onmessage = null;
      clearTimeout(timer);
      timer = setTimeout(() => end(true), SHORT_CONNECTION);
    };
  });
}

// Tries to get a socket from time to time, while somebody looks.
async function lookForSockets() {
  const url = new URL(root.getAttribute('hx-ws:connect') ?? '', location.href).href.replace(/^http/, 'ws');
  while (plain) {
    await pause(way.probe());
    if (!document.hidden && await works(url) && !document.hidden) goBack();
  }
}

// What has no answer yet is sent again on the socket, with the same ids.
function goBack() {
  plain = false;
  remember(false);
  root.reconnect?.();
}

root.usePlain = () => {
  if (plain) return;
  plain = true;
  way = new Way();
  remember(true);
  root.reconnect?.();
  lookForSockets();
};
self.WebSocket = new Proxy(Native, {
  construct: (_, /** @type {[string]} */ args) => (plain ? new PlainSocket(args[0]) : new Native(...args)),
});
root.usePlain();
