// ops.js says when what the page of package ops shows is old, and has it shown nothing while it is
// hidden: then the replicas have nobody to take their numbers for.

const OLD = 3500; // ms; rows come each second
const HIDDEN = 5000; // ms; a look at another tab is no end

const root = document.querySelector('[hx-ws\\:connect]');
const page = document.querySelector('[data-ops]');
const note = document.querySelector('[data-ops-stale]');
const socket = root?.getAttribute('hx-ws:connect');
let at = '', came = Date.now(), paused = false, timer;

// What the page says when it is old.
function say(text) {
  if (note.textContent !== text) note.textContent = text;
  note.hidden = !text;
  page.classList.toggle('ops-paused', !!text);
}

function look() {
  const now = document.querySelector('[data-ops-at]')?.getAttribute('data-ops-at') ?? '';
  if (now !== at) {
    at = now;
    came = Date.now();
  }
  const age = Date.now() - came;
  if (at && (paused || age > OLD)) {
    const since = new Date(Number(at)).toLocaleTimeString();
    say(paused ? `Paused while hidden: stale since ${since}` : `Stale: nothing has come since ${since}`);
  } else {
    say('');
  }
}

function pause(yes) {
  clearTimeout(timer);
  if (yes === paused || !root.rooms || !root.dataset.idle) return;
  paused = yes;
  root.rooms(yes ? root.dataset.idle : socket, {});
  look();
}

if (root && page && note) {
  setInterval(look, 1000);
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(pause, HIDDEN, true);
    else pause(false);
  });
}
