// message.js reads what a replica says. docs/protocol.md has the messages.

/**
 * A version, and the epoch that it belongs to: the order of states.
 * @typedef {[epoch: number, version: number]} At
 *
 * A newer state of a topic, as HTML or, for a tab that renders itself, as text. With back it is the
 * truth though it is older: what was shown never was.
 * @typedef {{ topic: string, at: At, back?: boolean, content?: string, state?: string }} Update
 *
 * Why an op was not counted. With retry the replica could not take it yet.
 * @typedef {{ op?: string, error: string, retry?: boolean }} Refusal
 *
 * What one message says: any of these, or nothing.
 * beat is how many seconds the server lets pass between two statuses, proof the answer to a hello
 * that asked for one.
 * @typedef {{
 *   status?: string, beat?: number, proof?: boolean,
 *   acked?: string[], refusal?: Refusal, update?: Update,
 * }} Message
 */

/**
 * Reads a message. Plain HTML, and whatever else is no JSON, says nothing of this.
 * @param {unknown} data - of a MessageEvent
 * @returns {Message}
 */
export function read(data) {
  const m = parse(data);
  const { status, beat, proof, ack: acked, error, op, retry, t: topic, e, v, back, content, state } = m;
  return {
    status,
    beat,
    proof,
    acked,
    refusal: error === undefined ? undefined : { op, error, retry },
    update: topic === undefined || v === undefined ? undefined
      : { topic, at: [e, v], back, content, state },
  };
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
