// name.js names an op among all of its topic, as Op.Name in package state does: what an action
// makes is called after the op that has it made.

/**
 * @param {ArrayBuffer} digest - SHA-256 of the client's 16 bytes
 * @param {number} seq
 */
export function opName(digest, seq) {
  return `${toText(new Uint8Array(digest, 0, 9))}-${seq.toString(36)}`;
}

/**
 * @param {string} client - 16 bytes as base64url
 */
export function bytesOf(client) {
  return Uint8Array.from(atob(client.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

/** @param {Uint8Array} bytes - a multiple of three */
const toText = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_');
