// face.js draws the icon of a tab: the count, if there is one, on a ground whose colour says how
// the connection is.

/** @type {Record<string, string>} */
const GROUNDS = { offline: '#a8382d', degraded: '#8a5a00' };

const SIGN = '<g fill="none" stroke="#fff" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round">' +
  '<path d="M8.5 15.5 16 8.5l7.5 7"/><path d="M8.5 23.5 16 16.5l7.5 7" opacity=".72"/></g>';

/**
 * A count in three characters, or fewer: those that matter most.
 * @param {string} count - a whole number, or ''
 */
export function brief(count) {
  const [, minus = '', digits = ''] = /^(-?)(\d+)$/.exec(count) ?? [];
  if (digits.length <= 3) return minus + digits;
  const unit = Math.min(Math.ceil(digits.length / 3) - 1, 6);
  return minus + digits.slice(0, digits.length - 3 * unit) + ['', 'k', 'M', 'G', 'T', 'P', 'E'][unit];
}

/**
 * @param {string} count - a whole number, or '' for the sign of the program
 * @param {string} state - of #status
 * @returns {string} SVG
 */
export function face(count, state) {
  const text = brief(count);
  const size = text.length > 3 ? 12 : text.length > 2 ? 15 : 20;
  const font = `font-family="system-ui,sans-serif" font-weight="700" font-size="${size}"`;
  const number = `<text x="16" y="${16 + size * 0.36}" text-anchor="middle" fill="#fff" ${font}>${text}</text>`;
  const ground = GROUNDS[state] ?? '#1f6f5c';
  return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">' +
    `<rect width="32" height="32" rx="9" fill="${ground}"/>${text ? number : SIGN}</svg>`;
}
