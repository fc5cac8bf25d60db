// search.js is the search of the book, over an index that is loaded when somebody begins to search.
// It is a combobox: the focus stays in the field, arrows choose, Enter goes there. Without it the
// field is a form, which the server answers. search.go finds the same.
{
  /**
   * A section as it is found; lower are page, heading and words as they are compared.
   * @typedef {{to: string, page: string, heading: string, words: string, lower: string[]}} Entry
   */

  const MOST = 20;
  const AROUND = 70; // letters of an excerpt, on each side
  const WORTH = [8, 10, 1]; // of a word in a title, a heading, a text

  /** @type {HTMLFormElement | null} */
  const form = document.querySelector('[data-search-form]');
  /** @type {HTMLLinkElement | null} */
  const source = document.querySelector('link[data-search]');
  const field = form?.querySelector('input');
  const list = form?.querySelector('div');
  const status = form?.querySelector('p');
  const key = form?.querySelector('kbd');

  /** @type {Promise<Entry[]> | undefined} */
  let loading;

  /** @param {HTMLLinkElement} link */
  const load = async (link) => {
    const answer = await fetch(link.href);
    if (!answer.ok) throw new Error(`the index is not there: ${answer.status}`);
    /** @type {Entry[]} */
    const all = await answer.json();
    for (const e of all) e.lower = [e.page, e.heading, e.words].map((text) => text.toLowerCase());
    return all;
  };

  /**
   * 2 where a word of a text begins with another, 1 where it has it inside, else 0.
   * @param {string} text
   * @param {string} word
   */
  const sign = (text, word) => {
    let found = 0;
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
      if (at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1])) return 2;
      found = 1;
    }
    return found;
  };

  /**
   * How well an entry fits; 0: it lacks a word.
   * @param {Entry} entry
   * @param {string[]} words
   */
  const score = (entry, words) => {
    let sum = 0;
    for (const word of words) {
      const n = entry.lower.reduce((all, text, i) =>
        all + sign(text, word) * (i === 0 && entry.heading ? 1 : WORTH[i]), 0);
      if (!n) return 0;
      sum += n;
    }
    return sum;
  };

  /**
   * @param {Entry[]} index
   * @param {string[]} words
   */
  const find = (index, words) => index.map((entry) => ({ entry, score: words.length ? score(entry, words) : 0 }))
    .filter((found) => found.score).sort((a, b) => b.score - a.score).slice(0, MOST).map((found) => found.entry);

  /**
   * The place of the first word that a text has, or its beginning.
   * @param {Entry} entry
   * @param {string[]} words
   */
  const excerpt = ({ words: text, lower }, words) => {
    const piece = document.createElement('small');
    const word = words.find((w) => lower[2].includes(w));
    if (!word) {
      piece.append(text.slice(0, 2 * AROUND));
      return piece;
    }
    const at = lower[2].indexOf(word), end = at + word.length;
    const before = text.slice(Math.max(0, at - AROUND), at), after = text.slice(end, end + AROUND);
    const mark = document.createElement('mark');
    mark.append(text.slice(at, end));
    // It begins and ends between words.
    piece.append(at > AROUND ? `… ${before.slice(before.indexOf(' ') + 1)}` : before, mark,
      end + AROUND < text.length ? `${after.slice(0, after.lastIndexOf(' '))} …` : after);
    return piece;
  };

  /**
   * @param {Entry} entry
   * @param {number} i
   * @param {string[]} words
   * @param {string} book - its address
   */
  const option = (entry, i, words, book) => {
    const row = document.createElement('div'), name = document.createElement('b');
    row.id = `found-${i}`;
    row.dataset.to = new URL(book + entry.to, location.href).href;
    row.setAttribute('role', 'option');
    row.setAttribute('aria-selected', 'false');
    name.append(entry.heading ? `${entry.page} › ${entry.heading}` : entry.page);
    row.append(name, excerpt(entry, words));
    return row;
  };

  /**
   * What was found, of which one may be chosen.
   * @param {HTMLInputElement} input
   * @param {HTMLElement} box
   */
  const choices = (input, box) => {
    let chosen = -1;
    const close = () => {
      box.hidden = true;
      chosen = -1;
      input.setAttribute('aria-expanded', 'false');
      input.removeAttribute('aria-activedescendant');
    };
    /** @param {number} next */
    const choose = (next) => {
      const all = box.children;
      if (box.hidden) return;
      all[chosen]?.setAttribute('aria-selected', 'false');
      chosen = (next + all.length) % all.length;
      all[chosen].setAttribute('aria-selected', 'true');
      all[chosen].scrollIntoView({ block: 'nearest' });
      input.setAttribute('aria-activedescendant', all[chosen].id);
    };
    /** @param {Element | null} row */
    const go = (row) => {
      const to = row instanceof HTMLElement && row.dataset.to;
      close();
      if (to) location.assign(to);
    };
    /** @param {HTMLElement[]} rows */
    const fill = (rows) => {
      close();
      box.replaceChildren(...rows);
      box.hidden = !rows.length;
      input.setAttribute('aria-expanded', String(!box.hidden));
    };
    box.addEventListener('pointerdown', (event) => event.preventDefault()); // the field keeps the focus
    box.addEventListener('click', ({ target }) => {
      if (target instanceof Element) go(target.closest('[role="option"]'));
    });
    return {
      close, fill,
      next: () => choose(chosen + 1),
      before: () => choose(chosen < 0 ? -1 : chosen - 1),
      /** Goes to what is chosen, or to the best; false: nothing was found. */
      take: () => {
        const open = !box.hidden;
        if (open) go(box.children[Math.max(chosen, 0)]);
        return open;
      },
    };
  };

  /**
   * @param {HTMLInputElement} input
   * @param {HTMLElement} box
   * @param {HTMLElement} said
   * @param {HTMLLinkElement} link
   * @param {HTMLFormElement} whole
   */
  const search = (input, box, said, link, whole) => {
    const found = choices(input, box);
    const show = async () => {
      const asked = input.value, words = asked.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length) loading ??= load(link);
      const all = words.length ? find(await (loading ?? []), words) : [];
      if (asked !== input.value) return; // a later one is on its way
      found.fill(all.map((entry, i) => option(entry, i, words, link.dataset.search ?? '')));
      said.textContent = !words.length ? '' : all.length ? `${all.length} found` : 'Nothing found';
    };
    /** What a person is told when the index can't be had; the next letter asks again. */
    const failed = () => {
      loading = undefined;
      said.textContent = 'The index can’t be loaded';
    };

    input.setAttribute('role', 'combobox');
    input.setAttribute('aria-expanded', 'false');
    input.setAttribute('aria-controls', box.id);
    input.setAttribute('aria-autocomplete', 'list');
    input.addEventListener('input', () => { show().catch(failed); });
    input.addEventListener('blur', found.close);
    whole.addEventListener('submit', (event) => {
      // Files have no server that answers the form.
      if (found.take() || !whole.getAttribute('action')) event.preventDefault();
    });
    input.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'ArrowDown' && box.hidden) show().catch(failed);
      else if (event.key === 'ArrowDown') found.next();
      else if (event.key === 'ArrowUp') found.before();
      else if (event.key === 'Escape' && !box.hidden) found.close();
      else return;
      event.preventDefault();
    });
  };

  /** @param {HTMLInputElement} input */
  const slash = (input) => document.addEventListener('keydown', (event) => {
    const at = event.target;
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (at instanceof HTMLElement && at.matches('input:not([type="radio"]), textarea, select')) return;
    event.preventDefault();
    input.focus();
    input.select();
  });

  if (form && source && field && list && status && key) {
    form.hidden = false; // files have no server that answers the form
    key.hidden = false;
    search(field, list, status, source, form);
    slash(field);
  }
}
