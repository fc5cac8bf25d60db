// message.js reads what a replica says. docs/protocol.md has the messages.

/**
 * A version, and the epoch that it belongs to: the order of states.
 * @typedef {[epoch: number, version: number]} At
 *
 * A newer state of a topic, as HTML or, for a tab that renders itself, as text. With back it is the
 * truth though it is older: what was shown never was. With base it is what has changed since that
 * version of the same epoch, and means nothing to a tab that shows less.
 * @typedef {{
 *   topic: string, at: At, base?: number, back?: boolean, content?: string, state?: string,
 * }} Update
 *
 * What has become of an op. ack: it is applied. refused: it never will be. settled: its page has
 * had the answer. old: nobody knows any more. retry: the replica could not take it yet. at is the
 * state that has the op first, for a tab that renders itself, where that is known.
 * @typedef {'ack' | 'refused' | 'settled' | 'old' | 'retry'} Verdict
 *
 * @typedef {{
 *   topic: string, client: string, seq: number, verdict: Verdict, reason: string, at?: At,
 * }} Answer
 *
 * What one message says: any of these, or nothing.
 * beat is how many seconds the server lets pass between two statuses, proof the answer to a hello
 * that asked for one, paint how far apart, in seconds, it wants to hear what is on the screen,
 * clock the time by the server, in ms, and complaint what is wrong with a message that was no op.
 * @typedef {{
 *   status?: string, beat?: number, proof?: boolean, paint?: number, clock?: number,
 *   answers: Answer[], complaint?: string, update?: Update,
 * }} Message
 */

/**
 * Reads a message. Plain HTML, and whatever else is no JSON, says nothing of this.
 * @param {unknown} data - of a MessageEvent
 * @returns {Message}
 */
export function read(data) {
  const m = parse(data);
  const { status, beat, proof, paint, clock, error, op, t: topic, e, a: base, v, back, content, state } = m;
  return {
    status,
    beat,
    proof,
    paint,
    clock,
    answers: answers(m),
    complaint: op ? undefined : error,
    update: topic === undefined || v === undefined ? undefined
      : { topic, at: [e, v], base, back, content, state },
  };
}

/** @type {Verdict[]} */
const FINAL = ['refused', 'settled', 'old'];

/**
 * @param {Record<string, any>} message
 * @returns {Answer[]}
 */
function answers(message) {
  const { t: topic, ack, first, op, refused, error = '' } = message;
  const verdict = ack ? 'ack' : FINAL.find((one) => message[one] !== undefined) ?? 'retry';
  return (ack ?? (op ? [op] : [])).map((/** @type {[string, number]} */ [client, seq], /** @type {number} */ i) => (
    { topic, client, seq, verdict, reason: refused ?? error, at: first?.[i] ?? undefined }));
}

/**
 * @param {unknown} data
 * @returns {Record<string, any>}
 */
function parse(data) {
  try {
    return Object(JSON.parse(/** @type {string} */ (data)));
  } catch {
    return {};
  }
}
