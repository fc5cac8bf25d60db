// request.js makes requests over plain HTTP out of messages.

const BATCH_BYTES = 3000; // of messages that go together, about
const HEADER_BYTES = 4000; // proxies take 8 KB in a line

/**
 * Takes the messages out of a queue that go together in the next request.
 * @param {string[]} queue
 */
export function batch(queue) {
  let n = 0;
  for (let bytes = 0; n < queue.length && bytes < BATCH_BYTES; n++) bytes += queue[n].length;
  return queue.splice(0, n);
}

/**
 * Returns what a request has that brings messages. They go in the header, for some proxies cut off
 * the answer to a request that has a body; what is too long for that goes in a body nevertheless.
 * @param {string[]} messages - JSON; empty ones are left out
 * @returns {{ headers: Record<string, string>, body?: undefined }
 *   | { body: string, headers?: undefined }}
 */
export function pack(messages) {
  const all = messages.filter(Boolean);
  // A header is ASCII, and JSON can be.
  const list = all.join(', ').replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return list.length <= HEADER_BYTES ? { headers: { 'Lockstep-Messages': list } } : { body: all.join('\n') };
}
