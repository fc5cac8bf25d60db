// measure.js has Lighthouse look at pages of the demo as on a phone, with its default throttling,
// and prints the medians. It fails when one is below what is wanted.
//
//	node measure.js <program>        RUNS=5: as many times; CHROME_PATH: the browser
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';

import { launch } from 'chrome-launcher';
import lighthouse from 'lighthouse';

const PAGES = ['/', '/gallery'];
const CATEGORIES = ['performance', 'accessibility', 'best-practices', 'seo'];
const LEAST = 98;
const MOST_SHIFT = 0.02; // cumulative layout shift
const PATIENCE = 30_000; // ms until the program must be ready

const freePort = () => new Promise((found, fail) => {
  const server = createServer().once('error', fail).listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => found(port));
  });
});

// Server and browser are processes of their own: a signal that ends this one ends them first.
const leaving = new Set();
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
  process.once(signal, () => {
    for (const end of leaving) end();
    process.exit(code);
  });
}

/** Runs the program while f is given its address. */
const serving = async (program, dir, f) => {
  const url = `http://localhost:${await freePort()}`;
  const server = spawn(resolve(program), ['-addr', new URL(url).host, '-store', 'mem:', '-log-level', 'warn'], {
    cwd: dir, stdio: ['ignore', 'ignore', 'inherit'],
  });
  const end = () => server.kill();
  leaving.add(end);
  const ended = new Promise((done) => server.once('exit', done).once('error', done));
  try {
    await ready(url, server);
    return await f(url);
  } finally {
    end();
    await ended;
    leaving.delete(end);
  }
};

const ready = async (url, server) => {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await after(100)) {
    if (server.exitCode !== null) break;
    const answer = await fetch(`${url}/readyz`).catch(() => null); // it does not listen yet
    if (answer?.ok) return;
  }
  throw new Error(`${server.spawnargs.join(' ')} is not ready`);
};

/** What one look at a page comes to. A busy machine sometimes has no trace of it. */
const look = async (url) => {
  for (let left = 3; ; left--) {
    try {
      return await tryToLook(url);
    } catch (err) {
      if (left === 1) throw err;
    }
  }
};

const tryToLook = async (url) => {
  const chrome = await launch({
    chromePath: process.env.CHROME_PATH,
    chromeFlags: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    logLevel: 'error',
  });
  const end = () => chrome.kill();
  leaving.add(end);
  try {
    const { lhr } = await lighthouse(url, { port: chrome.port, onlyCategories: CATEGORIES, logLevel: 'error' });
    if (lhr.runtimeError) throw new Error(lhr.runtimeError.message);
    return { scores: CATEGORIES.map((c) => Math.round(lhr.categories[c].score * 100)), ...figures(lhr) };
  } finally {
    end();
    leaving.delete(end);
  }
};

const figures = ({ audits, categories }) => ({
  shift: audits['cumulative-layout-shift'].numericValue,
  paint: audits['largest-contentful-paint'].numericValue, // ms
  blocked: audits['total-blocking-time'].numericValue, // ms
  missed: Object.values(categories).flatMap((c) => c.auditRefs)
    .filter(({ id, weight }) => weight > 0 && audits[id].score !== null && audits[id].score < 0.9)
    .map(({ id }) => `${id}: ${audits[id].title} ${audits[id].displayValue ?? ''}`),
});

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const summary = (looks) => ({
  scores: CATEGORIES.map((_, i) => median(looks.map((l) => l.scores[i]))),
  shift: median(looks.map((l) => l.shift)),
  paint: median(looks.map((l) => l.paint)),
  blocked: median(looks.map((l) => l.blocked)),
  missed: [...new Set(looks.flatMap((l) => l.missed))],
});

const cells = (texts) => `| ${texts.join(' | ')} |`;

const row = (page, { scores, shift, paint, blocked }) =>
  cells([`\`${page}\``, ...scores, shift.toFixed(3), `${(paint / 1000).toFixed(1)} s`, `${Math.round(blocked)} ms`]);

const good = ({ scores, shift }) => scores.every((s) => s >= LEAST) && shift <= MOST_SHIFT;

const measure = async (program, runs) => {
  const dir = await mkdtemp(join(tmpdir(), 'lighthouse-'));
  try {
    return await serving(program, dir, async (url) => {
      const all = [];
      for (const page of PAGES) {
        const looks = [];
        for (let i = 0; i < runs; i++) looks.push(await look(url + page));
        all.push([page, summary(looks)]);
      }
      return all;
    });
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
};

const results = await measure(process.argv[2], Number(process.env.RUNS ?? 3));
console.log(cells(['page', ...CATEGORIES, 'layout shift', 'largest paint', 'blocked']));
console.log('|---|--:|--:|--:|--:|--:|--:|--:|');
for (const [page, result] of results) console.log(row(page, result));
console.log(`\nload average: ${loadavg()[0].toFixed(1)}; above the number of cores, performance is worse than it is`);
const bad = results.filter(([, result]) => !good(result));
for (const [page, { missed }] of bad) {
  console.error(`\n${page}: wanted at least ${LEAST} everywhere, and a layout shift of at most ${MOST_SHIFT}`);
  for (const m of missed) console.error(`  ${m}`);
}
process.exitCode = bad.length > 0 ? 1 : 0;
