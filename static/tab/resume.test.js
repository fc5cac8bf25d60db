import assert from 'node:assert/strict';
import { test } from 'node:test';

import { send } from './resume.js';

/** @import { Result } from './resume.js' */

const KB = 1024;

/** A server that keeps one file, and fails as a test wants. */
class Server {
  at = 0;
  made = 0;
  has = false;
  /** @type {((what: string) => Result | 'lost' | undefined)} lost: it is done, without an answer */
  trouble = () => undefined;

  /**
   * @param {string} what
   * @param {() => Result} work
   */
  #try(what, work) {
    const trouble = this.trouble(what);
    const result = trouble && trouble !== 'lost' ? trouble : work();
    return Promise.resolve(trouble === 'lost' ? { status: 0 } : result);
  }

  create() {
    return this.#try('create', () => {
      this.made++;
      this.has = true;
      this.at = 0;
      return { status: 201, location: '/u/1' };
    });
  }

  ask() {
    return this.#try('ask', () => (this.has ? { status: 200, offset: this.at } : { status: 404 }));
  }

  /**
   * @param {string} _
   * @param {number} from
   * @param {number} to
   */
  send(_, from, to) {
    return this.#try('send', () => {
      if (!this.has) return { status: 404 };
      if (from !== this.at) return { status: 409, offset: this.at };
      this.at = to;
      return { status: 204, offset: to };
    });
  }
}

/** @param {number} [stopAfter] - pauses */
function watcher(stopAfter = Infinity) {
  /** @type {{ shares: number[], urls: string[], pauses: number[] }} */
  const seen = { shares: [], urls: [], pauses: [] };
  return {
    seen,
    created: (/** @type {string} */ url) => void seen.urls.push(url),
    progress: (/** @type {number} */ share) => void seen.shares.push(share),
    stopped: () => seen.pauses.length >= stopAfter,
    pause(/** @type {number} */ ms) {
      seen.pauses.push(ms);
      return Promise.resolve();
    },
  };
}

test('a file goes in pieces, and says how far it is', async () => {
  const server = new Server(), w = watcher();
  assert.deepEqual(await send(600 * KB, '', server, w), { url: '/u/1', problem: '' });
  assert.equal(server.at, 600 * KB);
  assert.equal(w.seen.shares.length, 3);
  assert.equal(w.seen.shares.at(-1), 1);
});

test('whatever is lost, the file is there once and whole', async () => {
  for (const lost of ['create', 'send', 'ask']) {
    for (const how of /** @type {const} */ (['lost', 'away'])) {
      const server = new Server(), w = watcher();
      let n = 0;
      const trouble = how === 'lost' ? how : { status: 0 };
      server.trouble = (what) => (what === lost && n++ % 2 === 0 ? trouble : undefined);
      const done = await send(1000 * KB, '', server, w);
      assert.equal(done?.problem, '', `${lost} ${how}`);
      assert.equal(server.at, 1000 * KB);
    }
  }
});

test('what an earlier page has begun goes on from there', async () => {
  const server = new Server(), w = watcher();
  server.has = true;
  server.at = 512 * KB;
  await send(600 * KB, '/u/1', server, w);
  assert.equal(server.made, 0);
  assert.equal(server.at, 600 * KB);
});

test('what is not there any more begins anew, and not for ever', async () => {
  const server = new Server();
  assert.equal((await send(10, '/u/0', server, watcher()))?.problem, '');
  assert.equal(server.made, 1);
  server.trouble = (what) => (what === 'send' ? { status: 404 } : undefined);
  assert.ok((await send(10, '', server, watcher()))?.problem);
});

test('a refusal is told in the words of the server, at once', async () => {
  for (const status of [400, 413, 415, 507]) {
    const server = new Server(), w = watcher();
    server.trouble = () => ({ status, text: 'It is too large.' });
    assert.deepEqual(await send(10, '', server, w), { url: '', problem: 'It is too large.' });
    assert.equal(w.seen.pauses.length, 0);
  }
});

test('it waits longer each time, within a bound, until it is stopped', async () => {
  const server = new Server(), w = watcher(8);
  server.trouble = () => ({ status: 503 });
  assert.equal(await send(10, '', server, w), null);
  assert.deepEqual(w.seen.pauses, [500, 1000, 2000, 4000, 8000, 10000, 10000, 10000]);
});

test('an empty file is one too', async () => {
  const server = new Server();
  assert.equal((await send(0, '', server, watcher()))?.problem, '');
});
