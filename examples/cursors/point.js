// Where the mouse is on the ground is what the sliders have.
document.addEventListener('pointermove', ({ target, clientX, clientY }) => {
  const ground = target.closest('svg');
  if (!ground) return;
  const { left, top, width, height } = ground.getBoundingClientRect();
  document.querySelector('[name=x]').value = (100 * (clientX - left)) / width;
  document.querySelector('[name=y]').value = (100 * (clientY - top)) / height;
  document.querySelector('[name=y]').dispatchEvent(new Event('input', { bubbles: true }));
});
