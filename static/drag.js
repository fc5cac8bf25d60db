// drag.js has a person drag what is in a room, with the mouse, a pen or a finger. What has
// data-drag, which names it, can be taken, and goes between others in what has data-into. Then the
// form of the room that has data-drop is filled in, and sent as if a person had done that: with the
// name as id, with what data-into says as to, and with the name of what it goes before as before,
// which is empty at the end. Only a page with such a form loads it.
//
// Nothing of the room is touched, so that what others do meanwhile is shown as ever: what is
// dragged is moved by an animation, which stays at its element whatever becomes of attributes.

import { before, mark, nearest, scrolled } from './tab/drop.js';

const SLACK = 6; // px that a pointer moves before it drags
const HOLD = 250; // ms that a finger stays before it drags; one that moves scrolls
const LINGER = 1000; // ms for which what was dropped waits for the answer, where it was dropped
const CONTROLS = 'a,button,input,select,textarea,label,summary,[contenteditable]';
const MARK = 'position:fixed;inset:0 auto auto 0;z-index:9;height:0;margin-top:-1.5px;pointer-events:none;' +
  'border-top:3px solid var(--ls-accent,Highlight);border-radius:3px';

/**
 * @template {Element} [E=HTMLElement]
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {E[]}
 */
const all = (selector, within = document) => /** @type {E[]} */ ([...within.querySelectorAll(selector)]);

/** @param {Element} el */
const box = (el) => el.getBoundingClientRect();

/** Something that is being dragged. */
class Drag {
  #name;
  #room;
  #form;
  #at;
  #held; // where in it the pointer is
  #mark = document.createElement('div');
  /** @type {HTMLElement | undefined} */
  #item;
  /** @type {Animation | undefined} */
  #animation;
  #shift = { x: 0, y: 0 };
  #frame = 0;

  /**
   * @param {HTMLElement} item
   * @param {HTMLElement} room
   * @param {HTMLFormElement} form
   * @param {PointerEvent} from
   */
  constructor(item, room, form, { clientX: x, clientY: y }) {
    const { left, top } = box(item);
    this.#name = item.dataset.drag ?? '';
    this.#room = room;
    this.#form = form;
    this.#at = { x, y };
    this.#held = { x: x - left, y: y - top };
    this.#mark.style.cssText = MARK;
    document.body.append(this.#mark);
    this.#show();
  }

  /** @param {PointerEvent} to */
  move({ clientX: x, clientY: y }) {
    this.#at = { x, y };
  }

  // Others may move it meanwhile, or make another element of it, or remove it.
  #show() {
    const item = all('[data-drag]', this.#room).find(({ dataset }) => dataset.drag === this.#name);
    if (item !== this.#item) this.#hold(item);
    this.#frame = requestAnimationFrame(() => this.#show());
    if (!item) return;
    const { left, top } = box(item);
    this.#shift.x += this.#at.x - this.#held.x - left;
    this.#shift.y += this.#at.y - this.#held.y - top;
    this.#effect?.setKeyframes([{
      translate: `${this.#shift.x}px ${this.#shift.y}px`, zIndex: 8, opacity: .9, cursor: 'grabbing',
      boxShadow: '0 6px 20px rgb(0 0 0 / .25)',
    }]);
    const { list, items, i } = this.#place();
    this.#mark.hidden = !list;
    if (list) {
      const { left: x, width } = box(list);
      this.#mark.style.width = `${width}px`;
      this.#mark.style.translate = `${x}px ${mark(items.map(box), i, box(list))}px`;
    }
    scrollBy({ top: scrolled(this.#at.y, innerHeight), behavior: 'instant' });
  }

  get #effect() {
    return /** @type {KeyframeEffect | undefined} */ (this.#animation?.effect);
  }

  /** @param {HTMLElement | undefined} item */
  #hold(item) {
    this.#animation?.cancel();
    this.#item = item;
    this.#shift = { x: 0, y: 0 };
    this.#animation = item?.animate([], { duration: 1, fill: 'forwards' });
  }

  #place() {
    const lists = all('[data-into]', this.#room);
    const list = lists[nearest(lists.map(box), this.#at.x, this.#at.y)];
    const items = list ? all(':scope > [data-drag]', list).filter((item) => item !== this.#item) : [];
    return { list, items, i: before(items.map(box), this.#at.y) };
  }

  drop() {
    const { list, items, i } = this.#place();
    const there = list && all(':scope > [data-drag]', list);
    const same = this.#item && there?.indexOf(this.#item) === i;
    if (!this.#item || !list || same) return this.end();
    const values = { id: this.#name, to: list.dataset.into ?? '', before: items[i]?.dataset.drag ?? '' };
    for (const [name, value] of Object.entries(values)) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof HTMLInputElement) field.value = value;
    }
    this.#form.requestSubmit();
    this.#linger();
  }

  // It stays where it was dropped until the room is as it is then.
  #linger() {
    const animation = this.#animation;
    this.#animation = undefined;
    this.end();
    const watch = new MutationObserver(() => over());
    const over = () => {
      watch.disconnect();
      animation?.cancel();
    };
    watch.observe(this.#room, { childList: true, subtree: true });
    setTimeout(over, LINGER);
  }

  end() {
    cancelAnimationFrame(this.#frame);
    this.#animation?.cancel();
    this.#mark.remove();
  }
}

/** @type {Drag | undefined} */
let drag;
/**
 * @typedef {{ begin: () => void, x: number, y: number, timer?: number }} Press
 * @type {Press | undefined}
 */
let pressed;

/** @param {Event} e */
const prevent = (e) => {
  if (drag) e.preventDefault(); // to scroll, or to open a menu
};

/** @param {(drag: Drag) => void} [last] - what becomes of what is dragged */
const end = (last = (it) => it.end()) => {
  clearTimeout(pressed?.timer);
  pressed = undefined;
  removeEventListener('touchmove', prevent);
  const it = drag;
  drag = undefined;
  if (it) last(it);
};

addEventListener('pointerdown', (e) => {
  if (!e.isPrimary || e.button !== 0 || !(e.target instanceof Element)) return;
  end();
  /** @type {HTMLElement | null} */
  const item = e.target.closest('[data-drag]');
  /** @type {HTMLElement | null | undefined} */
  const room = item?.closest('[data-topic]');
  const form = all('form[data-drop]').find(({ dataset }) => dataset.topic === room?.dataset.topic);
  if (!item || !room || !(form instanceof HTMLFormElement) || e.target.closest(CONTROLS)) return;
  const begin = () => {
    getSelection()?.removeAllRanges();
    drag = new Drag(item, room, form, e);
  };
  pressed = { begin, x: e.clientX, y: e.clientY };
  if (e.pointerType !== 'touch') return;
  pressed.timer = setTimeout(begin, HOLD);
  // Only now: else the browser would ask before it scrolls anywhere.
  addEventListener('touchmove', prevent, { passive: false });
});

addEventListener('pointermove', (e) => {
  if (!e.isPrimary || !pressed) return;
  if (!drag && Math.hypot(e.clientX - pressed.x, e.clientY - pressed.y) > SLACK) {
    if (e.pointerType === 'touch') return end();
    pressed.begin();
  }
  drag?.move(e);
});
addEventListener('pointerup', ({ isPrimary }) => isPrimary && end((it) => it.drop()));
addEventListener('pointercancel', ({ isPrimary }) => isPrimary && end());
addEventListener('keydown', ({ key }) => key === 'Escape' && end());
addEventListener('contextmenu', prevent);
