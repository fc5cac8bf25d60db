// lockstep.js is what the kit can't do without a script: it remembers the theme that a person has
// chosen, copies code, takes messages away, and closes menus. Pages work without it; then there are
// no such buttons. It needs no order, and makes no HTML of text.
{
  const KEY = 'ls-theme';
  const THEMES = ['light', 'dark'];

  const kept = () => {
    try {
      return localStorage.getItem(KEY) ?? '';
    } catch {
      return ''; // storage is blocked
    }
  };

  /** @param {string} theme */
  const keep = (theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It counts for this page.
    }
  };

  /**
   * What was chosen counts more than what the page says, but not if nothing was.
   * @param {string} theme
   */
  const show = (theme) => {
    const root = document.documentElement;
    if (THEMES.includes(theme)) root.dataset.theme = theme;
    else if (theme === 'system') delete root.dataset.theme;
    /** @type {HTMLInputElement | null} */
    const choice = document.querySelector(`.ls-theme [value="${THEMES.includes(theme) ? theme : 'system'}"]`);
    if (choice && theme) choice.checked = true;
  };

  /**
   * Buttons that need this script are hidden without it. Others come with changes of the page.
   * @param {ParentNode} root
   */
  const reveal = (root) => {
    /** @type {NodeListOf<HTMLElement>} */
    const hidden = root.querySelectorAll('.ls-copy[hidden], [data-ls-dismiss][hidden]');
    for (const button of hidden) button.hidden = false;
  };

  /**
   * Says for a while that a button has copied.
   * @param {HTMLElement} button
   */
  const tell = (button) => {
    const { dataset, textContent: label } = button;
    if (label === dataset.copied) return;
    button.textContent = dataset.copied ?? '';
    setTimeout(() => (button.textContent = label), 1600);
  };

  /** @param {HTMLElement} button */
  const copy = async (button) => {
    await navigator.clipboard.writeText(button.closest('[data-ls-code]')?.querySelector('code')?.textContent ?? '');
    tell(button);
  };

  /** @param {Node | null} [but] - what is in it stays open */
  const close = (but = null) => {
    /** @type {NodeListOf<HTMLDetailsElement>} */
    const open = document.querySelectorAll('[data-ls-dropdown][open]');
    for (const menu of open) {
      if (menu.contains(but)) continue;
      if (menu.contains(document.activeElement)) menu.querySelector('summary')?.focus();
      menu.open = false;
    }
  };

  document.addEventListener('change', ({ target }) => {
    if (!(target instanceof HTMLInputElement) || !target.closest('[data-ls-theme]')) return;
    keep(target.value);
    show(target.value);
  });
  document.addEventListener('click', ({ target }) => {
    if (!(target instanceof Element)) return;
    close(target);
    /** @type {HTMLElement | null} */
    const button = target.closest('.ls-copy');
    if (button) copy(button).catch(() => {}); // the browser forbids it, and the code can be selected
    target.closest('[data-ls-dismiss]')?.closest('.ls-flash')?.remove();
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') close();
  });

  show(kept());
  reveal(document);
  new MutationObserver(() => reveal(document)).observe(document.documentElement, {
    childList: true, subtree: true, attributeFilter: ['hidden'],
  });
}
