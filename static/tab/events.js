// events.js reads an event stream (HTML standard, §9.2) as a replica writes it: an event has one
// line of data, and the last one is named close.

/**
 * A message, or the end of the answer with the code of a websocket.
 * @typedef {{ data: string, close?: undefined }
 *   | { close: { code: number, reason: string }, data?: undefined }} StreamEvent
 */

/** Finds events in the pieces in which an answer comes. */
export class Events {
  #rest = '';
  #closing = false;

  /**
   * Takes in a piece, and returns the events that it completes.
   * @param {string} piece
   * @returns {StreamEvent[]}
   */
  take(piece) {
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => this.#line(line));
  }

  /**
   * @param {string} line
   * @returns {StreamEvent[]}
   */
  #line(line) {
    if (line === 'event: close') this.#closing = true;
    if (!line.startsWith('data: ')) return [];
    const data = line.slice(6);
    return [this.#closing ? { close: JSON.parse(data) } : { data }];
  }
}
