// resume.js decides how a file goes on its way again, in pieces, after whatever has happened to the
// one before. The protocol is tus 1.0: https://tus.io/protocols/resumable-upload.

const PIECE = 256 << 10; // bytes; what is lost with a connection, and how fine the progress is
const FIRST = 500; // ms until the first attempt after one that has failed
const LAST = 10_000; // ms; the pause grows up to this

/**
 * What a request has come to. status 0: there was no answer.
 * @typedef {{ status: number, offset?: number, location?: string, text?: string }} Result
 *
 * @typedef {object} Transport
 * @property {(size: number) => Promise<Result>} create
 * @property {(url: string) => Promise<Result>} ask - how far it is
 * @property {(url: string, from: number, to: number) => Promise<Result>} send - a piece
 *
 * @typedef {object} Watcher
 * @property {(url: string) => void} created
 * @property {(share: number) => void} progress - from 0 to 1
 * @property {() => boolean} stopped
 * @property {(ms: number) => Promise<void>} pause - or until there is a network again
 */

/** @param {Result} result */
const passes = ({ status }) => status === 0 || status === 423 || status === 429 || (status >= 500 && status !== 507);

/**
 * @param {number} size
 * @param {string} url
 * @param {number | null} at
 * @param {Transport} transport
 * @returns {Promise<Result>}
 */
function next(size, url, at, transport) {
  if (!url) return transport.create(size);
  return at === null ? transport.ask(url) : transport.send(url, at, Math.min(size, at + PIECE));
}

/**
 * Sends a file.
 * @param {number} size - in bytes
 * @param {string} url - of what an earlier page has begun; "": nothing
 * @param {Transport} transport
 * @param {Watcher} watcher
 * @returns {Promise<{ url: string, problem: string } | null>} null: it was stopped
 */
export async function send(size, url, transport, watcher) {
  /** @type {number | null} */
  let at = null; // null: to be asked
  let failures = 0, lost = 0;
  while (!watcher.stopped()) {
    const result = await next(size, url, at, transport);
    if (watcher.stopped()) break;
    if (passes(result)) {
      await watcher.pause(Math.min(FIRST * 2 ** failures++, LAST));
      at = null;
    } else if (!url && result.status === 201 && result.location) {
      url = result.location;
      at = 0;
      watcher.created(url);
    } else if (url && (result.status === 404 || result.status === 410) && lost++ < 3) {
      url = ''; // it is not there any more: anew
    } else if (result.status === 409) {
      if (lost++ > 100) return { url: '', problem: result.text || 'It could not be sent.' };
      at = null; // somebody else was here, or a piece has arrived whose answer did not
    } else if (url && result.status < 300 && result.offset !== undefined) {
      const { offset } = result;
      if (at !== null && offset > at) failures = 0;
      at = offset;
      watcher.progress(size ? offset / size : 1);
      if (offset === size) return { url, problem: '' };
    } else {
      return { url: '', problem: result.text || 'It could not be sent.' };
    }
  }
  return null;
}
