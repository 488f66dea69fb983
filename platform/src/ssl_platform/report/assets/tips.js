// What an element says when it is pointed at, touched or reached by the keyboard.
const tip = document.createElement('div');
tip.className = 'tip float';
tip.hidden = true;
tip.setAttribute('role', 'status');
document.body.append(tip);

let told = null;
const showTip = (element) => {
  told = element;
  tip.textContent = element.dataset.tip;
  tip.hidden = false;
  const at = element.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - own.width / 2), root.clientWidth - own.width - 8);
  const above = at.top - own.height - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : at.bottom + 6}px`;
};
const hideTip = () => { tip.hidden = true; told = null; };

for (const name of ['pointerover', 'focusin']) {
  document.addEventListener(name, (event) => {
    const element = event.target instanceof Element ? event.target.closest('[data-tip]') : null;
    if (element) showTip(element); else hideTip();
  });
}
document.addEventListener('focusout', hideTip);
// What the keyboard reached may have been scrolled into view by that: its tip goes along.
const follow = () => { if (told && told === document.activeElement) showTip(told); else hideTip(); };
window.addEventListener('scroll', follow, { passive: true });
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') hideTip(); });
