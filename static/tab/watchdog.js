// watchdog.js notices a connection that hangs. A half-open one says nothing; a frozen server
// accepts and never answers. What looks alive and may not be is asked for a proof.

import {
  ANSWER_TIMEOUT, CONNECT_TIMEOUT, CONNECT_TIMEOUT_MAX, PAUSE_TIMEOUT, PROOF_TIMEOUT,
  SILENCE_TIMEOUT, SILENCE_TIMEOUT_MIN, STATUS_INTERVAL,
} from '../constants.js';

// The readyState of a WebSocket.
const OPEN = 1, CLOSED = 3; // CONNECTING is 0

/** @typedef {{ readonly readyState: number } | null | undefined} Socket */

/**
 * Knows when a socket last did something, and whether the server owes an answer. It knows only the
 * sockets that it is shown.
 */
export class Watchdog {
  #now;
  /** @type {Socket} */
  #socket;
  #progress;
  #spoken = false; // the server has said something on this socket
  #canProve = false; // and it answers when it is asked for a proof
  #attempt = CONNECT_TIMEOUT; // how long the server may take until it speaks
  #silence = SILENCE_TIMEOUT;
  #proof = PROOF_TIMEOUT;
  /** @type {number | null} when the first click was sent that nothing has answered since */
  #asked = null;
  /** @type {number | null} since when a proof is waited for */
  #doubted = null;

  /** @param {() => number} now - in milliseconds */
  constructor(now) {
    this.#now = now;
    this.#progress = now();
  }

  /** How long a proof may take on this connection, in milliseconds. */
  get proofTimeout() {
    return this.#proof;
  }

  /** Something has happened to the connection. */
  progress() {
    this.#progress = this.#now();
  }

  /**
   * This is the socket of now.
   * @param {Socket} socket - null: none
   */
  see(socket) {
    if (socket === this.#socket) return;
    this.#socket = socket;
    this.#spoken = this.#canProve = false;
    this.#silence = SILENCE_TIMEOUT;
    this.#asked = this.#doubted = null;
    this.progress();
  }

  /** A click has been sent. */
  ask() {
    this.#asked ??= this.#now();
  }

  /** The server has said something: no answer to a click is late. */
  hear() {
    if (!this.#spoken) this.#connected(this.#now() - this.#progress);
    this.#spoken = true;
    this.#asked = null;
    this.progress();
  }

  /**
   * Only an attempt that is slow enough to be seen while it goes on tells how slow the link is.
   * @param {number} took - in milliseconds
   */
  #connected(took) {
    this.#proof = Math.max(PROOF_TIMEOUT, took);
    if (took < this.#attempt / 4) this.#attempt = Math.max(this.#attempt / 2, CONNECT_TIMEOUT);
  }

  /**
   * The server has said how often it says something, and so that it answers whoever asks for a
   * proof.
   * @param {number} seconds
   */
  beat(seconds) {
    this.#canProve = true;
    this.#silence = Math.max(seconds * 1000 * SILENCE_TIMEOUT / STATUS_INTERVAL, SILENCE_TIMEOUT_MIN);
  }

  /**
   * Reports whether to ask for a proof now. From then on its time runs.
   * @returns {boolean} false: one is waited for, or none can be had
   */
  doubt() {
    if (!this.#canProve || this.#doubted !== null) return false;
    this.#doubted = this.#now();
    return true;
  }

  /** For how long a proof has been waited for, in milliseconds; 0: none is. */
  get doubtedFor() {
    return this.#doubted === null ? 0 : this.#now() - this.#doubted;
  }

  /** The proof has come. */
  proven() {
    this.#doubted = null;
  }

  /** Whether so long nothing has come that the connection is in doubt. */
  get quiet() {
    return this.#canProve && this.#passed(this.#progress, this.#silence / 2);
  }

  /**
   * Reports whether to start over. A socket is given its time from when it is first seen.
   * @param {boolean} live - the server has said that it is well, so it should answer clicks
   */
  hangs(live) {
    if (!this.#passed(this.#progress, this.#limit)) return this.#owes(live);
    if (this.#tries) this.#attempt = Math.min(2 * this.#attempt, CONNECT_TIMEOUT_MAX);
    return true;
  }

  /** @param {boolean} live */
  #owes(live) {
    if (this.#socket?.readyState !== OPEN) return false;
    return (live && this.#passed(this.#asked, ANSWER_TIMEOUT)) || this.#passed(this.#doubted, this.#proof);
  }

  // An attempt lasts until the server speaks.
  get #tries() {
    return !this.#spoken && (this.#socket?.readyState ?? CLOSED) <= OPEN;
  }

  // How long the socket may do nothing.
  get #limit() {
    if (this.#tries) return this.#attempt;
    switch (this.#socket?.readyState) {
      case OPEN: return this.#silence;
      case CLOSED: return PAUSE_TIMEOUT;
      default: return CONNECT_TIMEOUT; // it is closing, or there is none
    }
  }

  /**
   * @param {number | null} since
   * @param {number} limit
   */
  #passed(since, limit) {
    return since !== null && this.#now() - since > limit;
  }
}
