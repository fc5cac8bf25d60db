// wrong.js reads what a refusal says of the fields of a form.

/**
 * What is wrong, by the names of fields; null: the reason is of another kind, for the whole page.
 * @param {string} reason - "name: this name is taken", a line for each field
 * @param {(name: string) => boolean} has - whether the form has a place for it
 * @returns {Map<string, string> | null}
 */
export function wrong(reason, has) {
  /** @type {Map<string, string>} */
  const all = new Map();
  for (const line of reason.split('\n')) {
    const [, name, text] = line.match(/^([A-Za-z][\w-]*): (.*)$/) ?? [];
    if (name === undefined || !has(name)) return null;
    all.set(name, text);
  }
  return all;
}
