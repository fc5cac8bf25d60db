// worker.js runs the program of cmd/wasm, in a worker: the page stays smooth while it starts and
// while it works, and only the worker needs a policy that allows WebAssembly. Go's wasm_exec.js
// goes before it in the bundle.
(() => {
  'use strict';

  const SMALLEST = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]); // a module with nothing in it
  const MISSING = 'This browser has no WebAssembly, or it is turned off.';
  const FORBIDDEN = 'This page is not allowed to run WebAssembly: ' +
    'the Content-Security-Policy of the server forbids it.';
  const NO_MEMORY = 'There is not enough memory for the application.';
  const DAMAGED = 'The application is damaged. Reload the page to load it again.';
  const STOPPED = 'The application has stopped. Reload the page to start it again.';

  /**
   * @param {string} failure - for the person
   * @param {unknown} [detail] - for the log
   */
  const fail = (failure, detail = '') => postMessage({ failure, detail: String(detail) });

  // The browser opens its databases while the program is compiled.
  try {
    globalThis.indexedDB?.databases?.().catch(() => {});
  } catch {
    // The program finds out.
  }

  onmessage = async ({ data }) => {
    if (!data?.program) return; // a page that leaves before it has loaded it
    if (typeof WebAssembly !== 'object') return fail(MISSING);
    if (!allowed()) return fail(FORBIDDEN);
    const go = new Go();
    go.argv = ['lockstep', ...data.args];
    let instance;
    try {
      const made = await WebAssembly.instantiate(data.program, go.importObject);
      instance = made.instance ?? made; // of bytes, or of a module
    } catch (e) {
      return fail(e instanceof RangeError ? NO_MEMORY : DAMAGED, e);
    }
    try {
      await go.run(instance);
      fail(STOPPED);
    } catch (e) {
      fail(STOPPED, e);
    }
  };

  // Tells a policy that forbids from a program that is damaged: the browser has one error for both.
  function allowed() {
    try {
      return Boolean(new WebAssembly.Module(SMALLEST));
    } catch {
      return false;
    }
  }
})();
