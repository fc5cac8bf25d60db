// reload.js loads its page again when "make dev" has built something new, and shows what does not
// build.
'use strict';
{
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const own = Number(new URL(script.src).searchParams.get('generation'));
  const problem = document.createElement('pre');
  problem.id = 'dev-problem';
  problem.style.cssText =
    'position:fixed;inset:0;z-index:2147483647;margin:0;padding:1rem;overflow:auto;' +
    'white-space:pre-wrap;font:14px monospace;color:#fff;background:#600e';
  /** @type {EventSource | undefined} */
  let events;

  /** @param {MessageEvent<string>} e */
  const hear = ({ data }) => {
    const state = JSON.parse(data);
    if (state.generation !== own) return location.reload();
    problem.textContent = state.problem;
    if (state.problem) document.documentElement.append(problem);
    else problem.remove();
  };

  // A hidden tab does not listen: browsers open only six connections to a server.
  const listen = () => {
    events?.close();
    if (document.hidden) return;
    events = new EventSource('/_dev/events');
    events.onmessage = hear;
  };
  document.addEventListener('visibilitychange', listen);
  listen();
}
