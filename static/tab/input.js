// input.js makes the input of an action out of what is in a form.

/** @import { Input } from './outbox.js' */

/**
 * @param {Iterable<[name: string, value: unknown]>} fields - as of a FormData: texts and files
 * @returns {Input | null} null: there is a file, which an op can't have. A field for one may be
 *   empty.
 */
export function input(fields) {
  /** @type {Map<string, string[]>} */
  const all = new Map();
  for (const [name, value] of fields) {
    if (typeof value === 'string') all.set(name, [...all.get(name) ?? [], value]);
    else if (/** @type {{ size: number, name: string }} */ (value).size || /** @type {any} */ (value).name) return null;
  }
  return Object.fromEntries([...all].map(([name, values]) => [name, values.length > 1 ? values : values[0]]));
}
