// soft.js shows at a board what others do there, and tells them what this tab does: where its
// cursor is, and whether somebody types. Nothing of it is kept; what is lost is repeated. Only a
// page with a board loads it.

import { Pace } from './tab/pace.js';
import { hash, Softs } from './tab/softs.js';

const RENEW = 3000; // ms until what this tab has cast is cast again
const TYPING = 2500; // ms after the last key
const CALM = 4000; // ms between two sentences
const STEP = 20; // thousandths of the board, for an arrow key
const LISTED = 12; // people whose names are shown
const YOU = 'You'; // no owner is called that

/** @typedef {{ x?: number, y?: number, types?: boolean }} Spot */

const now = () => performance.now();

/** @type {import('./tab/pace.js').Clock} */
const clock = { now, later: (job, ms) => setTimeout(job, ms), cancel: (timer) => clearTimeout(timer) };

/**
 * @param {string} selector
 * @param {ParentNode} [within]
 */
const part = (selector, within = document) => /** @type {HTMLElement} */ (within.querySelector(selector));

const root = part('[hx-ws\\:connect]');
const board = part('#board');
const ground = part('#ground');
const typists = part('#typists');
const { topic = '', first = '', last = '' } = board.dataset;

/** Tells the tabs of a person apart. */
const tab = Array.from(crypto.getRandomValues(new Uint8Array(5)), (n) => (n % 36).toString(36)).join('');
/** @type {Softs<Spot>} */
const softs = new Softs(now);
/** @type {Map<string, HTMLElement>} */
const cursors = new Map();
/** @type {Spot} */
let own = {};
let keys = false; // it was moved by keys: there is no other cursor to see
let listed = ''; // whose names are shown

const frame = new Pace(() => requestAnimationFrame(draw), clock);
const sentence = new Pace(() => (part('#said').textContent = typists.textContent), clock);

// ---- what this tab does ----

/** @param {Spot} spot */
function cast(spot) {
  own = spot;
  root.cast?.({ cast: 'here', t: topic, in: { tab, ...spot } });
  frame.ask(0);
}

/**
 * @param {number} [x] - in thousandths; none: off the board
 * @param {number} [y]
 */
function move(x = 0, y = 0) {
  const inside = (/** @type {number} */ n) => Math.round(Math.min(1000, Math.max(1, n)));
  const next = x || y ? { x: inside(x), y: inside(y) } : { x: undefined, y: undefined };
  if (next.x !== own.x || next.y !== own.y) cast({ ...own, ...next });
}

/** @param {PointerEvent} e */
function point({ clientX, clientY }) {
  keys = false;
  const { left, top, width, height } = ground.getBoundingClientRect();
  move((clientX - left) / width * 1000, (clientY - top) / height * 1000);
}

/** @param {KeyboardEvent} e */
function press(e) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key] ?? [0, 0];
  if (e.key === 'Escape') move();
  if (!dx && !dy) return;
  e.preventDefault(); // the page does not scroll
  keys = true;
  move((own.x ?? 500) + dx * STEP, (own.y ?? 500) + dy * STEP);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing;

function type() {
  clearTimeout(typing);
  typing = setTimeout(() => cast({ ...own, types: undefined }), TYPING);
  if (!own.types) cast({ ...own, types: true });
}

function leave() {
  clearTimeout(typing);
  cast({});
}

// ---- what others do ----

/** @param {Event} e - a message has come */
function hear(e) {
  const { data } = /** @type {CustomEvent} */ (e).detail.message;
  if (!`${data}`.includes('"soft":')) return;
  const { t, soft } = JSON.parse(data);
  if (t === topic && softs.hear(soft)) frame.ask(0);
}

/** @param {string} owner */
function nameOf(owner) {
  if (owner === YOU) return owner;
  const h = hash(owner);
  return [first, last].map((names, i) => names.split(' ')[(h >>> (9 + 8 * i)) % 16]).join(' ');
}

/**
 * A copy of what is in a template, for an owner.
 * @param {string} template
 * @param {string} owner
 */
function copy(template, owner) {
  const { content } = /** @type {HTMLTemplateElement} */ (part(template));
  const el = part('*', document.importNode(content, true));
  el.style.setProperty('--hue', `${hash(owner) % 360}`);
  part('.who', el).textContent = nameOf(owner);
  return el;
}

function draw() {
  const all = softs.values;
  for (const owner of all.keys()) if (owner.endsWith('.' + tab)) all.delete(owner);
  list([...all.keys()]);
  tell([...all].flatMap(([owner, { types }]) => (types ? [nameOf(owner)] : [])));
  if (keys) all.set(YOU, own);
  for (const [owner, cursor] of cursors) {
    if (all.get(owner)?.x) continue;
    cursor.remove();
    cursors.delete(owner);
  }
  for (const [owner, { x, y }] of all) if (x && y) place(owner, x, y);
  ground.classList.toggle('used', cursors.size > 0 || !!own.x);
}

/**
 * By the size of the board, so that it stays right when that changes.
 * @param {string} owner
 * @param {number} x
 * @param {number} y
 */
function place(owner, x, y) {
  const cursor = cursors.get(owner) ?? copy('#cursor', owner);
  cursor.style.transform = `translate(${x / 10}cqw, ${y / 10}cqh)`;
  cursor.dataset.at = (x > 650 ? 'right' : '') + (y > 900 ? 'low' : '');
  if (cursors.has(owner)) return;
  cursors.set(owner, cursor);
  ground.append(cursor);
}

/**
 * Shows who is here: changed only when that changes, for people read it.
 * @param {string[]} owners
 */
function list(owners) {
  const some = owners.slice(0, LISTED);
  const text = `${some} ${owners.length}`;
  if (text === listed) return;
  listed = text;
  const people = part('#people');
  people.replaceChildren(...some.map((owner) => copy('#person', owner)));
  people.dataset.more = owners.length > LISTED ? `and ${owners.length - LISTED} more` : '';
}

/** @param {string[]} names - of those who type */
function tell(names) {
  const [one, two] = names;
  const few = two ? `${one} and ${two} are` : one && `${one} is`;
  const who = names.length > 2 ? `${names.length} people are` : few;
  const text = who ? `${who} typing…` : '';
  if (typists.textContent === text) return;
  typists.textContent = text;
  sentence.ask(CALM);
}

root.addEventListener('htmx:ws:before:message:incoming', hear);
ground.addEventListener('pointermove', point);
ground.addEventListener('pointerdown', point);
for (const end of ['pointerleave', 'pointercancel', 'blur']) ground.addEventListener(end, () => move());
ground.addEventListener('keydown', press);
part('#text').addEventListener('input', type);
document.addEventListener('visibilitychange', () => document.hidden && leave());
addEventListener('pagehide', leave);
setInterval(() => {
  if (!document.hidden && (own.x || own.types)) cast(own);
  if (softs.forget()) frame.ask(0);
}, RENEW);
