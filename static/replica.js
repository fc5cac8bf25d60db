// replica.js lets a tab render itself, at the person's wish: the server sends it states instead of HTML, and the component that
// the server uses makes the HTML here, compiled to WebAssembly, in a worker. Clicks show at once, with or without a connection;
// live.js keeps and sends them as ever, so the server counts each once. The server believes nothing of what is rendered.
(() => {
  'use strict';

  const root = document.querySelector('[hx-ws\\:connect]');
  const button = document.getElementById('renderer');
  if (!root?.renderWith || !button || typeof Worker === 'undefined' || typeof WebAssembly === 'undefined') return;

  // Times in milliseconds.
  const HOLD = 2000; // a state waits so long for the answers to clicks that may be in it: or they would count double meanwhile
  const TOGETHER = 30; // and for so long for further answers, when one has come: there may be several to one state
  const PATIENCE = 10000; // the worker renders within a few
  const KEY = 'render'; // in sessionStorage: a reload goes on as it was

  // What may become a script here (Trusted Types): what comes from this server.
  const rules = {
    createScriptURL(url) {
      if (new URL(url, location.href).origin !== location.origin) throw new TypeError(`${url} is not of this server`);
      return url;
    },
  };
  const policy = self.trustedTypes?.createPolicy('lockstep', rules) ?? rules;

  const now = () => performance.now();
  const notice = document.getElementById('notice');
  let worker = null; // null: the server renders
  let loading; // aborts the download of the program, and the wait for it
  let waiting = false; // for the server, which compiles the program
  let leaving = false; // the worker renders for the last time

  const states = new Map(); // topic → state that is rendered
  const due = new Set(); // topics to be rendered
  let held = []; // {topic, state, until}: newer states, in their order
  let counted = []; // {message, until}: clicks that are in held states, and are rendered as waiting until then
  let timer; // of held and counted
  const doubtful = new Set(); // ops that were sent on a connection that has ended: any state may have them
  let busy = null; // while the worker renders: the timer that gives up on it

  button.hidden = false;
  button.addEventListener('click', () => (waiting || (worker && !leaving) ? stop() : start()));
  if (remembered()) start();

  // ---- the switch ----

  function remembered() {
    try {
      return sessionStorage.getItem(KEY) === 'tab';
    } catch {
      return false; // storage is blocked
    }
  }

  function remember(yes) {
    button.setAttribute('aria-checked', yes);
    try {
      if (yes) sessionStorage.setItem(KEY, 'tab');
      else sessionStorage.removeItem(KEY);
    } catch {
      // Storage is blocked: a reload begins with the server.
    }
  }

  async function start() {
    end();
    remember(true);
    button.setAttribute('aria-busy', true);
    if (button.dataset.progress && !(await compiled())) return;
    const own = (worker = new Worker(policy.createScriptURL(button.dataset.worker)));
    own.onmessage = ({ data }) => worker === own && take(data);
    own.onerror = (e) => {
      e.preventDefault();
      if (worker === own) failed(e.message);
    };
    loading = new AbortController();
    try {
      const response = await fetch(button.dataset.program, { signal: loading.signal });
      if (!response.ok) throw new Error(`${response.status}`);
      const program = await response.arrayBuffer();
      own.postMessage({ program, args: ['render'] }, [program]);
    } catch (e) {
      if (worker === own) failed(e.message);
    }
  }

  // Waits until the server has compiled the program, and says how that goes. It reports false when there is nothing to go on with.
  async function compiled() {
    const { signal } = (loading = new AbortController());
    waiting = true;
    for (; !signal.aborted; await new Promise((done) => setTimeout(done, 500))) {
      const got = await fetch(button.dataset.progress, { cache: 'no-store', signal }).then((r) => r.json()).catch(() => null);
      if (signal.aborted) break;
      if (got?.stage === 'missing') return unavailable(got.text);
      if (got?.stage === 'ready') {
        Object.assign(button.dataset, { worker: got.worker, program: got.program, progress: '' });
        say('');
        waiting = false;
        return true;
      }
      if (got) say(got.text);
    }
    return false;
  }

  // Says beside the switch what it waits for.
  function say(text) {
    const place = button.querySelector('.wait') ?? button.appendChild(document.createElement('small'));
    place.className = 'wait';
    place.textContent = text;
  }

  function unavailable(why) {
    notice.textContent = why;
    end();
    remember(false);
    return false;
  }

  // Lets the server render again. Until it does, which may take while there is no connection, the tab shows what has been counted,
  // as one does that never rendered itself.
  function stop() {
    remember(false);
    root.renderWith(null);
    if (!shownWaiting()) return end();
    leaving = true;
    counted = [];
    ripen();
  }

  // Ends the worker.
  function end() {
    worker?.terminate();
    loading?.abort();
    clearTimeout(timer);
    clearTimeout(busy);
    worker = busy = null;
    if (waiting) say('');
    waiting = false;
    leaving = false;
    held = [];
    counted = [];
    states.clear();
    due.clear();
    doubtful.clear();
    button.removeAttribute('aria-busy');
  }

  function failed(why) {
    console.warn('This tab can not render itself:', why);
    notice.textContent = 'This tab can not render itself here. The server goes on doing it.';
    end();
    remember(false);
    root.renderWith(null);
  }

  // ---- what the worker says ----

  function take(data) {
    if (data.failure) return failed(data.detail || data.failure);
    if (data.ready) return ready();
    clearTimeout(busy);
    busy = null;
    if (!leaving) swap(data);
    else if (!due.size) leave(data);
    render();
  }

  function ready() {
    button.removeAttribute('aria-busy');
    root.renderWith({ state: heard, begin, clicked: renderAll, answered, connected });
  }

  function leave(data) {
    if (shownWaiting()) swap(data); // else the server has been faster
    end();
  }

  const shownWaiting = () => root.querySelector('[data-waiting]') !== null;

  const swap = ({ target, html }) => htmx.swap({ target, text: html, swap: 'innerMorph', transition: false });

  // ---- what live.js says ----

  // Renders what the page shows already, with the clicks that wait.
  function begin() {
    for (const { dataset: { topic, count, epoch, version, waiting } } of root.querySelectorAll('[data-topic]')) {
      if (count && !waiting) states.set(topic, `{"n":${count},"e":${epoch},"v":${version}}`);
    }
    renderAll();
  }

  function heard(topic, state) {
    held.push({ topic, state, until: now() + HOLD });
    ripen();
  }

  function connected() {
    for (const { op } of root.waiting()) doubtful.add(op);
  }

  // An answer comes behind the state that has the click. The one must not go before the other is shown.
  function answered(messages) {
    const waiting = new Set(root.waiting().map(({ op }) => op));
    for (const op of doubtful) if (!waiting.has(op)) doubtful.delete(op);
    const soon = now() + TOGETHER;
    if (!doubtful.size) for (const it of [...held, ...counted]) it.until = Math.min(it.until, soon);
    const until = held.at(-1)?.until;
    if (held.length) counted.push(...messages.map((message) => ({ message, until })));
    ripen();
    renderAll();
  }

  // Shows the states that need not wait any more, and lets go of the clicks that are in them.
  function ripen() {
    clearTimeout(timer);
    const time = leaving || !root.waiting().length ? Infinity : now();
    const ripe = held.filter((h) => h.until <= time);
    held = held.filter((h) => h.until > time);
    counted = counted.filter((c) => c.until > time);
    for (const { topic, state } of ripe) states.set(topic, state);
    if (held.length) timer = setTimeout(ripen, held[0].until - time);
    if (ripe.length || leaving) renderAll();
  }

  function renderAll() {
    for (const topic of states.keys()) due.add(topic);
    render();
  }

  function render() {
    const [topic] = due;
    if (busy !== null || topic === undefined) return;
    due.delete(topic);
    busy = setTimeout(() => failed('the worker does not answer'), PATIENCE);
    const waiting = leaving ? [] : [...counted.map((c) => c.message), ...root.waiting()];
    worker.postMessage({ topic, state: states.get(topic), waiting: waiting.map((message) => JSON.stringify(message)) });
  }
})();
