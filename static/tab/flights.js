// flights.js puts together what a page knows of a click of its own and what the replica tells of
// it: where the time has gone until it was on the screen.

/** @import { At } from './message.js' */

/**
 * What a replica tells of an op; all times are ms. hops follow each other, from when it came to
 * when this tab was written to. last and paint count from that, for the other tabs of the replica;
 * taken and back from when the broadcast left; what others tell from when they heard of it.
 * @typedef {{
 *   r: string, wait: number, render: number, write: number, tabs: number, paint?: number,
 * }} Other
 * @typedef {{
 *   op: [client: string, seq: number], t: string, e?: number, v?: number, verdict: string,
 *   r: string, hops?: [name: string, ms: number][], calls?: number, tabs: number, last: number,
 *   paint?: number, taken?: number, back?: number, others?: Other[],
 * }} Told
 *
 * What is known of a click. measured is from the click to the screen, and hops are what it is made
 * of: those of the replica, the network there and back, and the paint.
 * @typedef {{
 *   told: Told, measured: number, hops: Record<string, number>, sum: number, lastTab: number,
 * }} Flight
 */

/** @typedef {{ topic: string, at: At, arrived: number, painted?: number }} Came */

const MOST = 32; // clicks, and states, that are known at a time

/** Clicks of this page on their way. */
export class Flights {
  /** @type {{ client: string, seq: number, topic: string, began: number }[]} */
  #kept = [];
  /** @type {Came[]} */
  #came = [];

  /**
   * A person has clicked.
   * @param {{ client: string, seq: number, topic: string }} op
   * @param {number} began - by the page's clock, in ms
   */
  kept({ client, seq, topic }, began) {
    this.#kept = [...this.#kept.slice(1 - MOST), { client, seq, topic, began }];
  }

  /**
   * A state has come.
   * @param {string} topic
   * @param {At} at
   * @param {number} arrived
   * @returns {(painted: number) => void} is called when it is on the screen
   */
  came(topic, at, arrived) {
    /** @type {Came} */
    const one = { topic, at, arrived };
    this.#came = [...this.#came.slice(1 - MOST), one];
    return (painted) => (one.painted = painted);
  }

  /**
   * What a click has taken, as far as the replica has told; nothing if it is no click of this page,
   * or not on the screen.
   * @param {Told} told
   * @returns {Flight | undefined}
   */
  of(told) {
    const { op: [client, seq], t, e = 0, v = 0, hops: its = [] } = told;
    const op = this.#kept.find((it) => it.client === client && it.seq === seq && it.topic === t);
    const shown = this.#came.find(({ topic, at }) => (
      topic === t && (at[0] > e || (at[0] === e && at[1] >= v))));
    if (!op || !v || !shown?.painted) return;
    const inside = its.reduce((all, [, ms]) => all + ms, 0);
    const hops = {
      network: Math.max(shown.arrived - op.began - inside, 0),
      ...Object.fromEntries(its),
      paint: shown.painted - shown.arrived,
    };
    const sum = Object.values(hops).reduce((all, ms) => all + ms, 0);
    return { told, measured: shown.painted - op.began, hops, sum, lastTab: lastTab(told, hops) };
  }
}

/**
 * When the last tab had it, after the click, as far as is known: what others tell counts from when
 * they heard of it, which is about when this replica had its own broadcast back.
 * @param {Told} told
 * @param {Record<string, number>} hops
 */
function lastTab({ last, paint = 0, back = 0, others = [] }, hops) {
  const { network, queue = 0, store = 0, wait = 0, render = 0, write = 0 } = hops;
  const saved = network / 2 + queue + store, written = saved + wait + render + write;
  const elsewhere = others.map((it) => it.paint || it.wait + it.render + it.write);
  return Math.max(
    written + network / 2 + hops.paint, written + Math.max(last, paint), saved + back + Math.max(0, ...elsewhere));
}
