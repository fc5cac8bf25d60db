import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ANSWER_TIMEOUT, FIN_PAUSE, MAX_OUTBOX, ORPHAN_AGE, RETRY_MAX, RETRY_MIN } from '../constants.js';
import { Browser, names, Page } from './testing/world.js';

const DAY = 24 * 3600 * 1000;

/** @param {ConstructorParameters<typeof Page>[1]} [how] */
async function connected(how) {
  const browser = new Browser();
  const page = new Page(browser, how);
  await page.connect();
  return { browser, page };
}

test('an op is sent at once, with its number, and what the server needs to judge it', async () => {
  const { browser, page } = await connected();
  page.post.add({ topic: 'a', do: 'inc', in: { by: '2' } }, false);
  assert.deepEqual(page.take(), [{
    op: ['client1', 1, 1], seen: browser.clock, age: undefined, t: 'a', grant: undefined, do: 'inc', in: { by: '2' },
  }]);
});

test('numbers count for each topic', async () => {
  const { page } = await connected({ grants: { a: 'x', b: 'y' } });
  page.click();
  page.click();
  page.click('inc', { topic: 'b' });
  assert.deepEqual(names(page.take()), ['client1/1/1', 'client1/2/1', 'client1/1/1']);
});

test('nothing is sent before the server has told its clock on the connection', async () => {
  const browser = new Browser(), page = new Page(browser);
  page.open = true;
  page.click();
  page.post.opened();
  await browser.pass();
  assert.deepEqual(page.take(), []);
  page.post.hear(browser.clock);
  await browser.pass();
  assert.deepEqual(names(page.take()), ['client1/1/1']);
  page.disconnect();
  page.open = true;
  page.post.opened();
  page.click();
  await browser.pass(ANSWER_TIMEOUT);
  assert.deepEqual(page.take(), []);
});

test('seen is the clock last heard before the op was made, not that of the moment', async () => {
  const { browser, page } = await connected();
  const heard = browser.clock;
  await browser.pass(5000);
  page.click();
  assert.equal(/** @type {any} */ (page.take()[0]).seen, heard);
  page.post.hear(browser.clock);
  page.click();
  assert.equal(/** @type {any} */ (page.take()[0]).seen, browser.clock);
});

test('seen is the clock heard before the database was read, not after', async () => {
  const { browser, page } = await connected();
  page.click();
  await browser.pass();
  page.disconnect();
  browser.slow = 5000;
  page.open = true;
  page.post.opened();
  const heard = browser.clock;
  page.post.hear(heard);
  await browser.pass(2000);
  page.post.hear(browser.clock);
  page.take();
  await browser.pass(5000);
  assert.equal(/** @type {any} */ (page.take()[0]).seen, heard);
});

test('an answer does not raise from: only that the entry is gone for good does', async () => {
  const { browser, page } = await connected();
  browser.slow = 10;
  page.click();
  await browser.pass(20);
  page.answer('ack', 1);
  page.click();
  assert.deepEqual(names(page.take()), ['client1/1/1', 'client1/2/1']);
  await browser.pass(40);
  page.click();
  assert.deepEqual(names(page.take()), ['client1/3/2']);
});

test('an answer of any kind removes the op, and another one to it is nothing', async () => {
  for (const verdict of /** @type {const} */ (['ack', 'refused', 'settled', 'old'])) {
    const { browser, page } = await connected();
    page.click();
    await browser.pass();
    page.answer(verdict, 1, { reason: 'no' });
    page.answer('refused', 1);
    await browser.pass();
    assert.equal(page.post.waiting().length, 0, verdict);
    assert.equal(browser.stored.size, 0, verdict);
    assert.deepEqual(page.answered.map(([, answer]) => answer?.verdict), [verdict]);
    assert.equal(page.lost, verdict === 'old' ? 1 : 0, 'nobody knows what has become of an old one');
  }
});

test('ops are written in the order in which they were made, and again after a failure', async () => {
  const { browser, page } = await connected();
  browser.log.length = 0;
  browser.broken = true;
  browser.slow = 10;
  page.click();
  await browser.pass(5);
  page.click(); // while the first is written
  await browser.pass(10);
  page.click();
  browser.broken = false;
  await browser.pass(2 * RETRY_MAX);
  assert.deepEqual(browser.log, ['+1', '+2', '+3']);
});

test('a page that is left has all on its way to the database, whatever is being written', async () => {
  const { browser, page } = await connected();
  page.disconnect();
  page.click();
  browser.slow = 50;
  await browser.pass(60);
  page.click();
  await browser.pass(10); // it is being written
  page.click();
  page.leave();
  await browser.pass(50);
  assert.deepEqual([...browser.stored.values()].map(({ seq }) => seq), [1, 2, 3]);
});

test('what a browser aborts of a page that is left is found by the next one', async () => {
  const { browser, page } = await connected();
  page.disconnect();
  browser.slow = 50;
  page.click();
  await browser.pass(10);
  page.click();
  page.post.leave();
  page.crash();
  const next = new Page(browser);
  await next.connect();
  await browser.pass(1000);
  assert.deepEqual(names(next.take()), [`${page.client}/1/1`, `${page.client}/2/1`]);
});

test('what a page that was left had on its way is written once, if it comes back', async () => {
  const { browser, page } = await connected();
  page.disconnect();
  browser.log.length = 0;
  browser.slow = 50;
  page.click();
  await browser.pass(10);
  page.click();
  page.post.leave();
  await browser.pass(500);
  page.click();
  await browser.pass(500);
  assert.deepEqual(browser.log, ['+1', '+2', '+3']);
});

test('what could not be written when the page was left is written in order, if it comes back', async () => {
  const { browser, page } = await connected();
  page.disconnect();
  browser.log.length = 0;
  browser.broken = true;
  browser.slow = 50;
  page.click();
  await browser.pass(10);
  page.click();
  page.post.leave();
  await browser.pass(100);
  page.click();
  browser.broken = false;
  await browser.pass(2 * RETRY_MAX);
  assert.deepEqual(browser.log, ['+1', '+2', '+3']);
});

test('a mark that is not written yet takes no click with it, when the page is left', async () => {
  const browser = new Browser(), page = new Page(browser);
  page.click();
  await browser.pass();
  browser.slow = 50;
  page.open = true;
  page.post.opened();
  page.post.hear(browser.clock);
  await browser.pass(25); // the database is being read
  page.click();
  await browser.pass(35); // the second is being written, and the mark of the first waits for it
  page.click();
  await browser.pass(20); // it is the mark's turn
  page.leave();
  await browser.pass(100);
  const kept = [...browser.stored.values()].map(({ seq, sent }) => [seq, Boolean(sent)]);
  assert.deepEqual(kept, [[1, false], [2, true], [3, true]]);
});

test('until it is known whether the browser keeps anything, a click is not said to be kept', async () => {
  const browser = new Browser(), page = new Page(browser);
  browser.slow = 50;
  const found = page.post.begin();
  page.click();
  assert.deepEqual([page.post.status.keepsNothing, page.post.status.kept], [false, 'no']);
  await browser.pass(49);
  assert.equal(page.post.status.kept, 'no');
  await browser.pass(10);
  await found;
  assert.deepEqual([page.post.status.keepsNothing, page.post.status.kept], [false, 'yes']);
});

test('a click is kept when it is durable, and not before', async () => {
  const { browser, page } = await connected();
  await Promise.all([page.post.begin(), browser.pass()]);
  browser.slow = 50;
  page.click();
  assert.equal(page.post.status.kept, '', 'it is being written');
  await browser.pass(60);
  assert.equal(page.post.status.kept, 'yes');
});

test('on a new connection all that waits is sent again, in order', async () => {
  const { browser, page } = await connected();
  for (let i = 0; i < 3; i++) page.click();
  await browser.pass();
  page.answer('ack', 2);
  page.disconnect();
  page.click();
  page.take();
  await browser.pass();
  await page.connect();
  assert.deepEqual(names(page.take()), ['client1/1/1', 'client1/3/1', 'client1/4/1']);
});

test('an op that was put off is sent again after a pause with all of its topic, and no other', async () => {
  const { browser, page } = await connected({ grants: { a: 'x', b: 'y' } });
  page.click();
  page.click();
  page.click('inc', { topic: 'b' });
  page.take();
  page.answer('retry', 2, { reason: 'too many clicks' });
  page.click(); // waits for its turn
  await browser.pass(RETRY_MIN - 1);
  assert.deepEqual(page.take(), []);
  await browser.pass(1);
  const sent = page.take();
  assert.deepEqual(names(sent), ['client1/1/1', 'client1/2/1', 'client1/3/1']);
  assert.deepEqual([...new Set(sent.map(({ t }) => t))], ['a']);
  assert.deepEqual(page.reasons, ['too many clicks']);
});

test('the pauses grow until the topic works', async () => {
  const { browser, page } = await connected();
  page.click();
  for (const pause of [1000, 2000, 4000, 5000, 5000]) {
    page.take();
    page.answer('retry', 1);
    await browser.pass(pause - 1);
    assert.deepEqual(page.take(), []);
    await browser.pass(1);
    assert.equal(page.take().length, 1);
  }
  page.click();
  page.answer('ack', 1);
  page.answer('retry', 2);
  page.take();
  await browser.pass(RETRY_MIN);
  assert.equal(page.take().length, 1);
});

test('an op without an answer is sent again, whatever else the server says', async () => {
  const { browser, page } = await connected();
  page.click();
  page.take();
  for (let i = 0; i < ANSWER_TIMEOUT / 1000; i++) {
    await browser.pass(1000);
    page.click();
    page.answer('ack', i + 2);
    page.post.check();
  }
  await browser.pass();
  assert.ok(names(page.take()).some((name) => name.startsWith('client1/1/')));
});

test('what another page has dealt with is dropped, and not sent again', async () => {
  const { browser, page } = await connected();
  page.click();
  page.click();
  await browser.pass();
  browser.stored.delete('["client1","a",1]');
  page.take();
  page.answer('retry', 1);
  await browser.pass(RETRY_MIN);
  assert.deepEqual(names(page.take()), ['client1/2/2']);
  assert.deepEqual(page.answered.map(([{ entry }, answer]) => [entry.seq, answer]), [[1, null]]);
});

test('what was kept, and can not be read, keeps its stamp', async () => {
  const { browser, page } = await connected();
  page.click();
  await browser.pass();
  const [{ seen }] = /** @type {any} */ (page.take());
  page.disconnect();
  await browser.pass(3600_000);
  browser.blind = true;
  await page.connect();
  assert.equal(/** @type {any} */ (page.take()[0]).seen, seen);
  browser.blind = false;
  page.answer('retry', 1);
  await browser.pass(RETRY_MIN);
  assert.equal(/** @type {any} */ (page.take()[0]).seen, page.heard);
});

test('a page that was closed has its ops sent by the next, as they are, with their grant and age', async () => {
  const { browser, page } = await connected({ grants: { a: 'grant of a' } });
  page.click();
  page.click();
  await browser.pass();
  page.answer('ack', 1);
  await browser.pass();
  page.crash();
  await browser.pass(3600_000);
  const next = new Page(browser, { grants: { b: 'grant of b' } });
  await next.connect();
  await browser.pass();
  const [sent] = next.take();
  assert.deepEqual(sent.op, ['client1', 2, 2]);
  assert.deepEqual({ ...sent, op: 0 },
    { op: 0, t: 'a', seen: browser.clock, age: 3600, grant: 'grant of a', do: 'inc', in: {} });
  assert.equal(next.post.waiting().length, 1);
  next.answer('ack', 2, { client: 'client1' });
  await browser.pass();
  assert.equal(browser.stored.size, 0);
});

test('the ops of a page that lives are left to it, until it is closed', async () => {
  const { browser, page } = await connected();
  page.click();
  await browser.pass();
  const other = new Page(browser);
  await other.connect();
  await browser.pass(60_000);
  assert.deepEqual(other.take(), []);
  page.crash();
  await browser.pass();
  assert.deepEqual(names(other.take()), ['client1/1/1']);
});

test('of several pages one sends what was left, and another when that one loses its connection', async () => {
  const { browser, page } = await connected();
  page.click();
  await browser.pass();
  const others = [new Page(browser), new Page(browser)];
  for (const other of others) await other.connect();
  page.crash();
  await browser.pass();
  assert.deepEqual(others.map((other) => other.take().length), [1, 0]);
  others[0].disconnect();
  await browser.pass();
  assert.deepEqual(names(others[1].take()), ['client1/1/1']);
});

test('where pages can not tell who lives, they send what has been there for a while', async () => {
  const { browser, page } = await connected({ locks: false });
  page.click();
  await browser.pass();
  page.crash();
  const other = new Page(browser, { locks: false });
  await other.connect();
  assert.deepEqual(other.take(), []);
  await browser.pass(ORPHAN_AGE + 1);
  assert.deepEqual(names(other.take()), ['client1/1/1']);
});

test('ops of another person are never sent, and the page is told that there are some', async () => {
  const { browser, page } = await connected();
  page.click();
  await browser.pass();
  page.crash();
  const other = new Page(browser, { user: 'bob' });
  await other.connect();
  await browser.pass(ORPHAN_AGE);
  assert.deepEqual(other.take(), []);
  assert.equal(browser.stored.size, 1);
  assert.ok(other.others > 0);
});

test('what nothing grants any more is sent by a page that shows the topic, and no other', async () => {
  const browser = new Browser();
  const entry = { client: 'c', topic: 'b', seq: 1, do: 'inc', in: {}, user: 'ann', made: 0, grant: '' };
  browser.stored.set('["c","b",1]', entry);
  const page = new Page(browser), next = new Page(browser, { grants: { b: 'grant of b' } });
  await page.connect();
  await browser.pass(ORPHAN_AGE);
  assert.deepEqual(page.take(), []);
  assert.ok(page.others > 0);
  await next.connect();
  await browser.pass();
  assert.deepEqual(next.take().map(({ op, grant }) => [op, grant]), [[['c', 1, 1], undefined]]);
  assert.equal(next.others, 0);
});

test('what was never sent has no age, however long it waits, and is marked before it is sent', async () => {
  const browser = new Browser(), page = new Page(browser);
  page.click();
  await browser.pass();
  page.crash();
  await browser.pass(30 * DAY);
  const next = new Page(browser);
  browser.log.length = 0;
  next.server = () => browser.log.push('sent');
  await next.connect();
  await browser.pass();
  assert.equal(/** @type {any} */ (next.take()[0]).age, undefined);
  assert.deepEqual(browser.log, ['=1', 'sent']);
  await browser.pass(DAY);
  next.crash();
  const third = new Page(browser);
  await third.connect();
  await browser.pass();
  assert.equal(/** @type {any} */ (third.take()[0]).age, DAY / 1000);
});

test('a mark does not bring back what another page has removed meanwhile', async () => {
  const browser = new Browser(), page = new Page(browser, { locks: false });
  page.click();
  await browser.pass(ORPHAN_AGE + 1);
  browser.slow = 10;
  page.open = true;
  page.post.opened();
  page.post.hear(browser.clock);
  await browser.pass(15); // it has been read, and is about to be marked
  browser.stored.clear();
  await browser.pass(100);
  assert.equal(browser.stored.size, 0);
});

test('the age is by the clock that says more', async () => {
  const { browser, page } = await connected();
  page.click();
  await browser.pass();
  for (const [wall, clock] of [[60_000, 0], [-3600_000, 60_000]]) {
    page.disconnect();
    browser.wall += wall;
    browser.clock += clock;
    page.take();
    await page.connect();
    assert.equal(/** @type {any} */ (page.take()[0]).age, 60);
  }
});

test('a page that needs no answers on a topic says so, after a minute and when it is left', async () => {
  const { browser, page } = await connected();
  page.click();
  await browser.pass();
  page.answer('ack', 1);
  await browser.pass();
  page.take();
  page.post.check();
  assert.deepEqual(page.take(), []);
  await browser.pass(FIN_PAUSE);
  page.post.check();
  page.post.check();
  assert.deepEqual(page.take(), [{ fin: ['client1', 1], t: 'a', grant: undefined }]);
  page.click();
  await browser.pass();
  page.answer('ack', 2);
  page.post.leave(); // its removal is under way
  page.take();
  await browser.pass();
  page.post.leave();
  assert.deepEqual(page.take().map(({ fin }) => fin), [['client1', 2]]);
});

test('a page that has sent what another left says so when nothing of it is left', async () => {
  const { browser, page } = await connected();
  page.click();
  page.click();
  await browser.pass();
  page.crash();
  const next = new Page(browser, { grants: {} });
  await next.connect();
  await browser.pass();
  next.take();
  next.answer('ack', 1, { client: 'client1' });
  await browser.pass();
  assert.deepEqual(next.take(), []);
  next.answer('settled', 2, { client: 'client1' });
  await browser.pass();
  assert.deepEqual(next.take(), [{ fin: ['client1', 2], t: 'a', grant: 'grant of a' }]);
});

test('where nothing can be kept, the page knows before the first click, and sends from memory', async () => {
  const browser = new Browser();
  browser.broken = browser.blind = true;
  const page = new Page(browser);
  await Promise.all([page.post.begin(), browser.pass()]);
  assert.equal(page.post.status.keepsNothing, true);
  assert.equal(page.post.status.kept, 'yes');
  page.click();
  assert.equal(page.post.status.kept, 'no');
  await page.connect();
  await browser.pass(100);
  page.disconnect();
  page.take();
  await browser.pass(3600_000);
  await page.connect();
  const [{ op, seen }] = /** @type {any} */ (page.take());
  assert.deepEqual([op, seen], [['client1', 1, 1], browser.clock]);
  page.answer('ack', 1);
  assert.equal(page.post.status.kept, 'yes');
  page.click();
  assert.deepEqual(names(page.take()), ['client1/2/2']);
});

test('a database that works again keeps what waits', async () => {
  const browser = new Browser();
  browser.broken = true;
  const page = new Page(browser);
  page.click();
  await browser.pass(1);
  assert.deepEqual([page.post.status.keepsNothing, page.post.status.kept], [true, 'no']);
  browser.broken = false;
  await browser.pass(RETRY_MAX);
  assert.deepEqual([page.post.status.keepsNothing, page.post.status.kept], [false, 'yes']);
});

test('what is secret is never written, and the page knows that it holds it', async () => {
  const { browser, page } = await connected();
  page.click('login', { secret: true });
  page.click();
  await browser.pass();
  assert.deepEqual([...browser.stored.values()].map(({ seq }) => seq), [2]);
  assert.equal(page.post.status.kept, 'no');
  page.disconnect();
  page.take();
  await page.connect();
  assert.deepEqual(names(page.take()), ['client1/1/1', 'client1/2/1']);
  page.answer('ack', 1);
  assert.equal(page.post.status.kept, 'yes');
  await browser.pass();
  page.click();
  assert.deepEqual(names(page.take()), ['client1/3/2']);
});

test('a page takes no more on a topic than a store remembers, from the lowest that is not gone', async () => {
  const { browser, page } = await connected();
  for (let i = 0; i < MAX_OUTBOX; i++) assert.notEqual(page.click(), 'full');
  assert.equal(page.click(), 'full');
  await browser.pass();
  for (let seq = 2; seq <= MAX_OUTBOX; seq++) page.answer('ack', seq);
  await browser.pass();
  assert.equal(page.click(), 'full', 'the first waits');
  page.answer('ack', 1);
  await browser.pass();
  assert.notEqual(page.click(), 'full');
});

test('an op that is too long is not taken, and takes no number', async () => {
  const { page } = await connected();
  assert.equal(page.post.add({ topic: 'a', do: 'say', in: { text: 'ü'.repeat(2040) } }, false), 'long');
  page.click();
  assert.deepEqual(names(page.take()), ['client1/1/1']);
  assert.equal(page.post.waiting().length, 1);
});

test('what something else has left in the database is not sent', async () => {
  const browser = new Browser();
  const good = { client: 'c', topic: 'a', seq: 1, do: 'inc', in: {}, user: 'ann', made: 0 };
  const foreign = [{ seq: 0 }, { seq: -1 }, { seq: 1.5 }, { client: 7 }, { topic: [] }, { do: undefined },
    { grant: {} },
    { in: { text: 'x'.repeat(5000) } }, { user: 'bob' }];
  foreign.forEach((it, i) => browser.stored.set(String(i), /** @type {any} */ ({ ...good, client: `f${i}`, ...it })));
  const page = new Page(browser);
  await page.connect();
  await browser.pass();
  assert.deepEqual(page.take(), []);
});

test('clicks that are made while the database is slow go out once each, in order', async () => {
  const { browser, page } = await connected();
  page.disconnect();
  for (let i = 0; i < 3; i++) page.click();
  await browser.pass();
  browser.slow = 50;
  page.open = true;
  page.post.opened();
  page.post.hear(browser.clock);
  for (let i = 0; i < 20; i++) {
    await browser.pass(10);
    page.click();
  }
  await browser.pass(1000);
  const seqs = names(page.take()).map((name) => Number(name.split('/')[1]));
  assert.deepEqual(seqs, Array.from({ length: 23 }, (_, i) => i + 1));
});

test('a page is told of what it adopts, once', async () => {
  const browser = new Browser(), left = new Page(browser), page = new Page(browser);
  left.click();
  await browser.pass();
  left.crash();
  await page.connect();
  await browser.pass();
  assert.deepEqual(page.adopted.map(({ entry }) => [entry.client, entry.seq]), [[left.client, 1]]);
  page.post.resume();
  await browser.pass();
  assert.equal(page.adopted.length, 1);
});
