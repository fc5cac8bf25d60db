// watchdog.js notices a connection that hangs. A half-open one says nothing; a frozen server
// accepts and never answers.

import {
  ANSWER_TIMEOUT, CONNECT_TIMEOUT, PAUSE_TIMEOUT, SILENCE_TIMEOUT,
} from '../constants.js';

/** How long a socket may do nothing, by its readyState. */
const LIMITS = [CONNECT_TIMEOUT, SILENCE_TIMEOUT, CONNECT_TIMEOUT, PAUSE_TIMEOUT];
const OPEN = 1; // WebSocket.OPEN

/** Knows when a socket last did something, and whether a click waits for an answer. */
export class Watchdog {
  #now;
  /** @type {{ readonly readyState: number } | null | undefined} */
  #socket;
  #progress;
  /** @type {number | null} when the first click was sent that nothing has answered since */
  #asked = null;

  /** @param {() => number} now - in milliseconds */
  constructor(now) {
    this.#now = now;
    this.#progress = now();
  }

  /** Something has happened to the connection. */
  progress() {
    this.#progress = this.#now();
  }

  /** A click has been sent. */
  ask() {
    this.#asked ??= this.#now();
  }

  /** The server has said something, or a new connection begins: no answer is late. */
  hear() {
    this.#asked = null;
    this.progress();
  }

  /**
   * Reports whether to start over. A socket is given its time from when it is first seen.
   * @param {{ readonly readyState: number } | null | undefined} socket - of now; null: none
   * @param {boolean} live - the server has said that it is well, so it should answer clicks
   */
  hangs(socket, live) {
    if (socket !== this.#socket) {
      this.#socket = socket;
      this.progress();
    }
    return (socket?.readyState === OPEN && live && this.#unanswered()) || this.#silent();
  }

  #unanswered() {
    return this.#asked !== null && this.#now() - this.#asked > ANSWER_TIMEOUT;
  }

  #silent() {
    const limit = this.#socket ? LIMITS[this.#socket.readyState] : CONNECT_TIMEOUT;
    return this.#now() - this.#progress > limit;
  }
}
