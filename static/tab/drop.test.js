import assert from 'node:assert/strict';
import { test } from 'node:test';

import { before, mark, nearest, scrolled } from './drop.js';

/** @type {(left: number, top: number, right: number, bottom: number) => import('./drop.js').Box} */
const box = (left, top, right, bottom) => ({ left, top, right, bottom });

test('the list is the one that a place is in, or nearest to', () => {
  const lists = [box(0, 0, 100, 200), box(120, 0, 220, 0), box(240, 0, 340, 50)];
  const places = [[50, 100, 0], [105, 10, 0], [118, 10, 1], [170, 90, 1], [300, 300, 2], [-50, -50, 0]];
  for (const [x, y, want] of places) {
    assert.equal(nearest(lists, x, y), want, `${x}, ${y}`);
  }
  assert.equal(nearest([box(0, 0, 9, 50), box(0, 90, 9, 99)], 5, 80), 1, 'below one another');
  assert.equal(nearest([], 1, 1), -1);
});

test('the place is before the first item whose middle is below', () => {
  const items = [box(0, 0, 9, 40), box(0, 50, 9, 90)];
  const places = [[-5, 0], [19, 0], [21, 1], [69, 1], [71, 2], [500, 2]];
  for (const [y, want] of places) assert.equal(before(items, y), want, `${y}`);
  assert.equal(before([], 10), 0);
});

test('the mark stands between two items, at an end, or where an empty list begins', () => {
  const items = [box(0, 10, 9, 40), box(0, 50, 9, 90)], list = box(0, 7, 9, 100);
  assert.deepEqual([0, 1, 2].map((i) => mark(items, i, list)), [6, 45, 94]);
  assert.equal(mark([], 0, list), 7);
});

test('the window scrolls near its edges, the faster the nearer', () => {
  assert.equal(scrolled(400, 800), 0);
  assert.ok(scrolled(10, 800) < scrolled(40, 800) && scrolled(40, 800) < 0);
  assert.ok(scrolled(790, 800) > scrolled(760, 800) && scrolled(760, 800) > 0);
});
