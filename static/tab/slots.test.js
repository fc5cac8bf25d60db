import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SLOT_LIFETIME, STREAM_SLOTS } from '../constants.js';
import { Slots } from './slots.js';

/** A storage of several tabs, and the time. */
function browser() {
  /** @type {Map<string, string>} */
  const kept = new Map();
  const world = {
    time: 1e12,
    /** @param {string} id */
    tab: (id) => new Slots(id, {
      date: () => world.time,
      storage: () => ({
        getItem: (key) => kept.get(key) ?? null,
        setItem: (key, value) => kept.set(key, value),
        removeItem: (key) => kept.delete(key),
      }),
    }),
  };
  return world;
}

/** @param {ReturnType<typeof browser>} world */
const fill = (world) => Array.from({ length: STREAM_SLOTS }, (_, i) => {
  const tab = world.tab(`tab ${i}`.replace(' ', '-'));
  assert.equal(tab.take(), true, `slot ${i}`);
  return tab;
});

test('there are so many slots and no more', () => {
  const world = browser();
  fill(world);
  assert.equal(world.tab('late').take(), false);
});

test('a slot that is given back is free', () => {
  const world = browser();
  fill(world)[2].free();
  assert.equal(world.tab('late').take(), true);
});

test('a slot is free again when its tab says nothing any more', () => {
  const world = browser();
  const tabs = fill(world);
  world.time += SLOT_LIFETIME / 2;
  for (const tab of tabs.slice(1)) tab.keep();
  world.time += SLOT_LIFETIME / 2;
  assert.equal(world.tab('late').take(), true, 'that of the tab that is gone');
  assert.equal(world.tab('later').take(), false, 'those of the others');
});

test('a tab has one slot, however often it takes it', () => {
  const world = browser();
  const tab = world.tab('one');
  for (let i = 0; i < 10; i++) assert.equal(tab.take(), true);
  for (let i = 1; i < STREAM_SLOTS; i++) assert.equal(world.tab(`other-${i}`).take(), true);
  assert.equal(world.tab('late').take(), false);
});

test('where storage is blocked there is always a slot', () => {
  const blocked = new Slots('tab', {
    date: () => 0,
    storage: () => {
      throw new Error('blocked');
    },
  });
  assert.equal(blocked.take(), true);
  blocked.keep();
  blocked.free();
});

test('a clock that was set back keeps no slot for ever', () => {
  const world = browser();
  fill(world);
  world.time -= 10 * SLOT_LIFETIME;
  assert.equal(world.tab('late').take(), true);
});
