// mine.js says of the entries of a log what is different for each person, and so can't be in them:
// which are their own, and what their clock said.

/**
 * Has the style sheet show a person's own entries apart.
 * @param {string | undefined} user
 */
export function markOwn(user) {
  if (!user) return;
  const sheet = new CSSStyleSheet(), own = `[data-by=${CSS.escape(user)}]`;
  const look = '--side:end;--columns:1fr auto;--bubble:var(--own);--corner:var(--own-corner);--named:0';
  sheet.replaceSync(`${own}{${look}}${own}>b::after{content:"You"}`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

/**
 * Says when entries were written by the person's clock. A morph takes the title away with the text.
 * @param {Element} list
 * @param {Date} [now]
 */
export function tellTimes(list, now = new Date()) {
  /** @type {NodeListOf<HTMLTimeElement>} */
  const times = list.querySelectorAll('time[datetime]:not([title])');
  for (const el of times) {
    const at = new Date(el.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    /** @type {Intl.DateTimeFormatOptions} */
    const day = at.toDateString() === now.toDateString() ? {} : { day: 'numeric', month: 'short' };
    el.textContent = at.toLocaleString([], { ...day, hour: '2-digit', minute: '2-digit' });
    el.title = at.toLocaleString([], { dateStyle: 'full', timeStyle: 'short' });
  }
}
