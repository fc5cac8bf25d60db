// reload.js shows what "lockstep dev" has built: it loads its page again, with what its person has
// typed, opened and scrolled, or exchanges its style sheets; and it shows what does not build.
'use strict';
{
  const KEY = 'lockstep-dev'; // in sessionStorage
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const { searchParams } = new URL(script.src);
  const generation = Number(searchParams.get('generation'));
  let styles = Number(searchParams.get('styles'));
  const problem = document.createElement('pre');
  problem.id = 'dev-problem';
  problem.style.cssText =
    'position:fixed;inset:0;z-index:2147483647;margin:0;padding:1rem;overflow:auto;' +
    'white-space:pre-wrap;font:14px monospace;color:#fff;background:#600e';
  /** @type {EventSource | undefined} */
  let events;

  /**
   * The elements of the page by names that outlive a change of it: what they are, after the nearest
   * id around them, and the how manieth of these.
   * @returns {Map<string, HTMLElement>}
   */
  const named = () => {
    const all = new Map(), seen = new Map();
    for (const el of document.querySelectorAll('html, body, body *')) {
      const near = el.closest('[id]');
      const name = `${near?.id} ${near === el ? '' : el.localName} ${el.getAttribute('name')}`;
      const n = seen.get(name) ?? 0;
      seen.set(name, n + 1);
      all.set(`${name} ${n}`, el);
    }
    return all;
  };

  /**
   * What a person has put into a field; undefined: nothing. Passwords are kept nowhere.
   * @param {HTMLElement} el
   * @returns {string | boolean | boolean[] | undefined}
   */
  const filled = (el) => {
    if (el instanceof HTMLSelectElement) {
      const options = [...el.options];
      return options.some((o) => o.selected !== o.defaultSelected) ? options.map((o) => o.selected) : undefined;
    }
    if (el instanceof HTMLTextAreaElement) return el.value !== el.defaultValue ? el.value : undefined;
    if (!(el instanceof HTMLInputElement) || ['hidden', 'password', 'file'].includes(el.type)) return undefined;
    if (el.checked !== el.defaultChecked) return el.checked;
    return el.value !== el.defaultValue ? el.value : undefined;
  };

  /**
   * @param {HTMLElement} el
   * @param {string | boolean | boolean[]} value
   */
  const fill = (el, value) => {
    if (el instanceof HTMLSelectElement && Array.isArray(value)) {
      [...el.options].forEach((option, i) => (option.selected = value[i]));
    } else if (el instanceof HTMLInputElement && typeof value === 'boolean') el.checked = value;
    else if (el instanceof HTMLInputElement || el instanceof HTMLTextAreaElement) el.value = String(value);
    el.dispatchEvent(new Event('input', { bubbles: true }));
  };

  const save = () => {
    /** @type {Record<string, any>} */
    const kept = {};
    for (const [name, el] of named()) {
      const { scrollLeft: x, scrollTop: y, open } = /** @type {HTMLDetailsElement} */ (el);
      const value = filled(el), focus = el === document.activeElement && el !== document.body;
      const { selectionStart: from, selectionEnd: to } = /** @type {HTMLInputElement} */ (el);
      const what = {
        ...(x || y ? { x, y } : {}), ...(value === undefined ? {} : { value }),
        ...(el.matches('details, dialog') ? { open, modal: el.matches(':modal') } : {}),
        ...(focus ? { focus, from, to } : {}),
      };
      if (Object.keys(what).length) kept[name] = what;
    }
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ page: location.pathname, kept }));
    } catch {
      // Storage is blocked, or full: the page begins anew.
    }
  };

  /** @param {(el: any, was: any) => void} put - back what was kept of an element */
  const each = (put) => {
    try {
      const { page, kept } = JSON.parse(sessionStorage.getItem(KEY) ?? '{}');
      if (page !== location.pathname) return;
      for (const [name, el] of named()) if (name in kept) put(el, kept[name]);
    } catch {
      // As above.
    }
  };

  const restore = () => {
    each((el, { open, modal }) => {
      if (open === undefined || open === el.open) return;
      if (modal) el.showModal();
      else el.open = open;
    });
    each((el, { value }) => value !== undefined && fill(el, value));
    each((el, { focus, from, to }) => {
      if (!focus) return;
      el.focus({ preventScroll: true });
      if (typeof from === 'number') el.setSelectionRange(from, to);
    });
    scroll();
  };

  const scroll = () => each((el, { x, y }) => y !== undefined && el.scrollTo({ left: x, top: y, behavior: 'instant' }));

  const forget = () => {
    try {
      sessionStorage.removeItem(KEY);
    } catch {
      // There is nothing in it.
    }
  };

  const reload = () => {
    events?.close();
    save();
    location.reload();
  };

  /**
   * The page as the server has it now. Pages may forbid to make one of text.
   * @returns {Promise<Document>}
   */
  const pageNow = () => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('GET', location.href);
    request.responseType = 'document';
    request.onload = () => (request.responseXML ? resolve(request.responseXML) : reject(new Error('no page')));
    request.onerror = reject;
    request.send();
  });

  // The style sheets of the page as it is now take the places of those that are shown, each once it
  // is loaded. One of the same name has another text.
  const restyle = async () => {
    const now = await pageNow();
    /** @param {ParentNode} root @returns {NodeListOf<HTMLLinkElement>} */
    const sheets = (root) => root.querySelectorAll('link[rel=stylesheet]');
    const old = sheets(document), next = sheets(now);
    if (old.length !== next.length) return reload();
    old.forEach((sheet, i) => {
      const to = /** @type {HTMLLinkElement} */ (document.importNode(next[i], true));
      const at = new URL(next[i].getAttribute('href') ?? '', location.href);
      at.searchParams.set('dev', String(styles));
      to.href = at.href;
      to.onload = () => sheet.remove();
      sheet.after(to);
    });
  };

  /** @param {MessageEvent<string>} e */
  const hear = ({ data }) => {
    const state = JSON.parse(data);
    if (state.generation !== generation) return reload();
    problem.textContent = state.problem;
    if (state.problem) document.documentElement.append(problem);
    else problem.remove();
    if (state.styles === styles) return;
    styles = state.styles;
    restyle().catch(reload);
  };

  // A hidden tab does not listen: browsers open only six connections to a server.
  const listen = () => {
    events?.close();
    if (document.hidden) return;
    events = new EventSource('/_dev/events');
    events.onmessage = hear;
  };
  document.addEventListener('visibilitychange', listen);
  document.addEventListener('DOMContentLoaded', restore);
  addEventListener('load', () => {
    scroll(); // now the page is as long as it will be
    forget();
    listen();
  });
}
