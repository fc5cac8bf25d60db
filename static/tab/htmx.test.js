// The scripts rely on what htmx.d.ts says of htmx and hx-ws: a new version may not have it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

/** @param {string} name - in static */
const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

const declared = read('htmx.d.ts');
const ws = read('vendor/htmx/hx-ws.js');

/**
 * The fields of an interface, those inside them included.
 * @param {string} name
 */
function fields(name) {
  const [, body = ''] = declared.match(new RegExp(`interface ${name} {\n(.*?)\n  }\n`, 's')) ?? [];
  return [...body.matchAll(/^ +(\w+)\??[:(]/gm)].map(([, field]) => field);
}

test('hx-ws hands out a connection with all that live.js uses', () => {
  const names = fields('HxWsConnection');
  assert.ok(names.includes('socket') && names.includes('reconnectCodes'), String(names));
  for (const name of names) assert.match(ws, new RegExp(`^ +${name}:`, 'm'), name);
});

test('hx-ws has the events that live.js listens to', () => {
  const names = fields('HtmxExtension').filter((name) => name.startsWith('htmx_ws_'));
  assert.ok(names.length >= 5, String(names));
  for (const name of names) {
    assert.ok(ws.includes(`'${name.replaceAll('_', ':')}'`), name);
  }
});

test('hx-ws says that a socket was closed before it decides whether and when to connect again', () => {
  const said = ws.indexOf("reason: 'closed'");
  assert.ok(said > 0 && said < ws.indexOf('config.reconnectCodes.includes(event.code)'));
});

test('htmx has what the scripts call', () => {
  const htmx = read('vendor/htmx/htmx.js');
  for (const name of ['process', 'registerExtension', 'swap', 'initSecurity']) {
    assert.match(htmx, new RegExp(`\\b${name}\\b ?[(:=]`), name);
  }
});
