// page.js loads the application into this browser, and stands in for the network: it starts
// worker.js, shows how that goes, puts the page that the worker renders into the document, gives
// htmx a WebSocket that leads to the worker, and then loads the script that every page of the
// application has.
(() => {
  'use strict';

  // The addresses of all that is loaded. server is the start page of the server, if there is one,
  // and progress says how the server gets on with the program, while it compiles it.
  const {
    worker: script = '', program = '', size, script: pages = '', more = '{}', offline = '', server,
    progress: compiling,
  } = /** @type {HTMLScriptElement} */ (document.currentScript).dataset;
  /** @type {Record<string, string>} what some pages need beside that, by name */
  const shelf = JSON.parse(more);
  const here = new URL('.', location.href);
  const socket = new URL('socket/', here).pathname;

  /**
   * A part of this page, or of the application's: of which there is one, if it is used.
   * @param {string} id
   */
  const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  /** @param {number} share - from 0 to 1 */
  const fill = (share) => {
    /** @type {HTMLProgressElement} */ (part('progress')).value = 100 * share;
  };

  // What the person is told.
  const NOT_LOADED = 'The application could not be loaded. Is there a connection?';
  const NOT_WHOLE = 'The application did not arrive whole. Reload the page to load it again.';
  const REPLACED = 'There is a new version of the application. Reload the page to load it.';
  const NOT_STARTED = 'The application could not be started.';
  const STOPPED = 'The application has stopped. Reload the page to start it again.';

  // What may become HTML here, or a script (Trusted Types): what the worker renders, and what comes
  // from where this page does.
  const rules = {
    createHTML: (/** @type {string} */ html) => html,
    /** @param {string} url */
    createScriptURL(url) {
      if (new URL(url, here).origin !== here.origin) throw new TypeError(`${url} is not of this server`);
      return url;
    },
  };
  const policy = self.trustedTypes?.createPolicy('lockstep', rules) ?? rules;

  // The document may be on its way still when this script runs.
  /** @type {Promise<void>} */
  const parsed = new Promise((done) => {
    if (document.readyState !== 'loading') done();
    else document.addEventListener('DOMContentLoaded', () => done());
  });

  /** @type {Set<PortSocket>} */
  const sockets = new Set(); // not closed
  /** @type {Worker | null} */
  let worker = null;
  let shown = false; // the application's page has taken the place of this one
  let live = false; // and htmx has connected, once at least
  /** @type {Promise<unknown>} all that shows what comes over a socket has been loaded */
  let scripts = Promise.resolve();
  let dead = false; // the application does not run, and the person has been told why

  if (compiling) wait();
  else start();

  // ---- while the server compiles the application ----

  // Shows how that goes, and loads this page again when it is there.
  async function wait() {
    await parsed;
    for (;;) {
      const { stage, share, text } = await fetch(compiling ?? '', { cache: 'no-store' })
        .then((r) => r.json())
        .catch(() => ({ text: NOT_LOADED }));
      if (stage === 'ready') return location.reload();
      if (stage === 'missing') return failed(text);
      if (share !== undefined) fill(share);
      part('loading').textContent = text;
      await new Promise((done) => setTimeout(done, 500));
    }
  }

  // ---- loading ----

  function start() {
    if (typeof Worker === 'undefined') return failed('This browser has no workers: it is too old for this page.');
    try {
      worker = new Worker(policy.createScriptURL(script));
    } catch (e) {
      return failed('This page is not allowed to start a worker.', e);
    }
    worker.onmessage = ({ data }) => (data.failure ? failed(data.failure, data.detail) : show(data));
    worker.onerror = (e) => {
      e.preventDefault();
      failed(shown ? STOPPED : NOT_STARTED, e.message);
    };
    load().catch((e) => failed(NOT_LOADED, e));
  }

  // Loads the program while the worker starts.
  async function load() {
    const module = await compiled();
    if (module) return run(module);
    const bytes = (await fetched('default')) ?? (await fetched('reload')); // what was kept may be damaged
    if (bytes) run(bytes, [bytes]);
    else failed(NOT_WHOLE);
  }

  /**
   * @param {WebAssembly.Module | ArrayBuffer} made
   * @param {Transferable[]} [transfer]
   */
  function run(made, transfer = []) {
    const query = [...new URLSearchParams(location.search)].flat();
    if (!dead) worker?.postMessage({ program: made, args: ['app', server ?? '', ...query] }, transfer);
  }

  // Compiles the program while it arrives. What this browser has kept is there at once: then there
  // is no progress to be shown, and the browser may have the compiled form. Null: something is
  // wrong, which comes out when it is loaded whole.
  async function compiled() {
    try {
      const response = await fetch(program);
      return await WebAssembly.compileStreaming(navigator.serviceWorker?.controller ? response : counted(response));
    } catch {
      return null;
    }
  }

  /**
   * Returns the response, and shows how much of it has been read.
   * @param {Response} response
   */
  function counted(response) {
    let n = 0;
    /** @type {TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>} */
    const count = new TransformStream({
      transform(chunk, to) {
        n += chunk.length;
        progress(n / Number(size));
        to.enqueue(chunk);
      },
    });
    return new Response(response.body?.pipeThrough(count), response);
  }

  /**
   * Returns the program, or null if it is shorter or longer than it should be.
   * @param {RequestCache} cache
   */
  async function fetched(cache) {
    const response = await fetch(program, { cache });
    if (response.status === 404) await failed(REPLACED);
    if (!response.ok) throw new Error(`${program}: ${response.status}`);
    const bytes = await counted(response).arrayBuffer();
    return bytes.byteLength === Number(size) ? bytes : null;
  }

  /** @param {number} share - from 0 to 1 */
  function progress(share) {
    if (dead || !part('loading')) return; // or not parsed yet
    fill(share);
    part('loading').textContent = share < 1 ? `Loading: ${Math.floor(100 * share)} %` : 'Starting…';
  }

  /** @param {{ page: string, title: string, scripts: string[], styles: string[] }} what */
  async function show({ page: html, title, scripts: names, styles }) {
    await parsed;
    await Promise.all(styles.map((name) => dress(shelf[name])));
    if (dead) return;
    shown = true;
    document.title = title;
    performance.mark('shown');
    document.body.inert = true; // until htmx is there
    document.body.innerHTML = policy.createHTML(html); // eslint-disable-line no-restricted-syntax
    scripts = Promise.all([pages, ...names.map((name) => shelf[name])].map(add));
  }

  /**
   * Loads a style sheet of the application's pages.
   * @param {string} url
   * @returns {Promise<void>}
   */
  function dress(url) {
    const css = document.createElement('link');
    css.rel = 'stylesheet';
    css.href = url;
    document.head.append(css);
    return new Promise((done) => {
      css.onload = () => done();
      css.onerror = () => failed(NOT_LOADED);
    });
  }

  /**
   * Loads a script of the application's pages. They run in the order in which they are added.
   * @param {string} url
   * @returns {Promise<void>}
   */
  function add(url) {
    const js = document.createElement('script');
    js.async = false;
    js.src = policy.createScriptURL(url);
    js.onerror = () => failed(NOT_LOADED);
    document.body.append(js);
    return new Promise((done) => (js.onload = () => done()));
  }

  // Called when htmx has connected for the first time.
  function works() {
    live = true;
    document.body.inert = false;
    performance.mark('live');
    // For the next time everything is kept, and no network is needed. Not before: it would slow
    // down this time.
    navigator.serviceWorker?.register(policy.createScriptURL(offline))
      .catch((e) => console.warn('It will not work offline:', e.message));
  }

  // ---- when it does not work ----

  /**
   * Says why, and ends what is left: nothing must look alive. The first reason counts.
   * @param {string} why - for the person
   * @param {unknown} [detail] - for the log
   */
  async function failed(why, detail = '') {
    if (dead) return; // what comes of that is no news: timers still call a program that has ended
    dead = true;
    console.warn(why, detail);
    worker?.terminate();
    for (const s of sockets) s.lose();
    await parsed;
    const place = part('failure') ?? newFailure();
    place.textContent = why;
    place.hidden = false;
    if (!part('loading')) return tryAgain(place);
    part('again').hidden = false;
    part('loading-title').textContent = 'That did not work';
    for (const id of ['loading-about', 'progress', 'loading']) part(id).hidden = true;
  }

  /**
   * Adds the way to begin anew, which the boot page has already.
   * @param {HTMLElement} place
   */
  function tryAgain(place) {
    const link = document.createElement('a');
    link.href = '';
    link.textContent = 'Try again';
    place.append(' ', link);
  }

  // Makes a place for the reason in the application's page. live.js clears its own with the next
  // click.
  function newFailure() {
    /** @type {NodeListOf<HTMLElement>} */
    const forms = document.querySelectorAll('form[data-topic]');
    if (!live) for (const form of forms) form.inert = true; // without htmx they would be sent to a server
    document.body.inert = false;
    const place = document.createElement('p');
    place.id = 'failure';
    place.className = 'notice';
    place.role = 'alert';
    document.querySelector('.messages')?.append(place);
    return place;
  }

  // ---- the stand-in for WebSocket: what it sends and gets goes over a port to the worker ----

  /** A PortSocket does what a WebSocket does (WebSockets standard, §3), for text. */
  class PortSocket extends EventTarget {
    CONNECTING = WebSocket.CONNECTING;
    OPEN = WebSocket.OPEN;
    CLOSING = WebSocket.CLOSING;
    CLOSED = WebSocket.CLOSED;
    /** @type {number} */
    readyState = WebSocket.CONNECTING;
    binaryType = 'blob';
    bufferedAmount = 0; // a port takes everything at once
    extensions = '';
    protocol = '';
    /** @type {((e: Event) => void) | null} */
    onopen = null;
    /** @type {((e: Event) => void) | null} */
    onmessage = null;
    /** @type {((e: Event) => void) | null} */
    onerror = null;
    /** @type {((e: Event) => void) | null} */
    onclose = null;
    /** @type {MessagePort | undefined} */
    #port;

    /** @param {string} url */
    constructor(url) {
      super();
      this.url = url;
      this.addEventListener('open', (e) => this.onopen?.(e));
      this.addEventListener('message', (e) => this.onmessage?.(e));
      this.addEventListener('error', (e) => this.onerror?.(e));
      this.addEventListener('close', (e) => this.onclose?.(e));
      sockets.add(this);
      if (dead) {
        setTimeout(() => this.lose());
        return;
      }
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      port1.onmessage = ({ data }) => this.#take(data);
      const topics = decodeURIComponent(new URL(url).pathname.slice(socket.length));
      scripts.then(() => worker?.postMessage({ connect: topics }, [port2]));
    }

    /** @param {string | { open?: boolean, code: number, reason: string }} data */
    #take(data) {
      if (typeof data !== 'string') return data.open ? this.#open() : this.#end(data.code, data.reason, true);
      if (this.readyState !== this.OPEN) return;
      this.dispatchEvent(new MessageEvent('message', { data, origin: new URL(this.url).origin }));
    }

    #open() {
      if (this.readyState !== this.CONNECTING) return;
      this.readyState = this.OPEN;
      this.dispatchEvent(new Event('open'));
      if (!live) works();
    }

    // Ends it as a broken connection does.
    lose() {
      if (this.readyState === this.CLOSED) return;
      this.readyState = this.CLOSED; // in both events
      this.dispatchEvent(new Event('error'));
      this.#closed(1006, '', false);
    }

    /**
     * @param {number} code
     * @param {string} reason
     * @param {boolean} wasClean
     */
    #end(code, reason, wasClean) {
      if (this.readyState === this.CLOSED) return;
      this.readyState = this.CLOSED;
      this.#closed(code, reason, wasClean);
    }

    /**
     * @param {number} code
     * @param {string} reason
     * @param {boolean} wasClean
     */
    #closed(code, reason, wasClean) {
      sockets.delete(this);
      this.#port?.close();
      this.dispatchEvent(new CloseEvent('close', { code, reason, wasClean }));
    }

    /** @param {unknown} data */
    send(data) {
      if (this.readyState === this.CONNECTING) throw new DOMException('still in CONNECTING state', 'InvalidStateError');
      if (this.readyState === this.OPEN) this.#port?.postMessage(String(data));
    }

    /**
     * @param {number} [code]
     * @param {string} [reason]
     */
    close(code, reason = '') {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
        throw new DOMException(`the code must be 1000, or between 3000 and 4999: it is ${code}`, 'InvalidAccessError');
      }
      if (this.readyState >= this.CLOSING) return;
      const opened = this.readyState === this.OPEN;
      this.readyState = this.CLOSING;
      this.#port?.postMessage({ close: true });
      setTimeout(() => (opened ? this.#end(code ?? 1005, reason, true) : this.lose()));
    }
  }

  window.WebSocket = new Proxy(WebSocket, {
    construct(Native, /** @type {[url: string, protocols?: string[]]} */ args) {
      const to = URL.parse ? URL.parse(args[0], location.href) : new URL(args[0], location.href);
      if (to?.host !== location.host || !to.pathname.startsWith(socket)) return new Native(...args);
      to.protocol = to.protocol.replace('http', 'ws');
      return new PortSocket(to.href);
    },
  });

  // A page that is kept may come back, and goes on then.
  addEventListener('pagehide', (e) => {
    if (!e.persisted) worker?.postMessage({ leave: true });
  });
})();
