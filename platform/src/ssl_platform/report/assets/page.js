// Puts the page together once it is read, and again when its width or the scheme changes.
const data = JSON.parse(document.getElementById('data').textContent);
const cursor = {
  step: null,
  move(step) {
    if (step === this.step) return;
    this.step = step;
    drawings.forEach((drawing) => drawing instanceof Chart && drawing.draw());
  },
};
const drawings = [];
for (const spec of data.charts) {
  const figure = document.querySelector(`[data-chart="${CSS.escape(spec.id)}"]`);
  if (figure) drawings.push(new Chart(figure, spec, cursor));
}
const plane = document.querySelector('[data-map]');
if (plane && data.map) drawings.push(new EmbeddingMap(plane, data.map));

const drawAll = () => drawings.forEach((drawing) => drawing.draw());
drawAll();
let width = document.body.clientWidth;
new ResizeObserver(() => {
  if (document.body.clientWidth === width) return;
  width = document.body.clientWidth;
  drawAll();
}).observe(document.body);
const again = () => { drawings.forEach((drawing) => drawing.legend && drawing.legend()); drawAll(); };
window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
window.addEventListener('beforeprint', drawAll);

for (const button of document.querySelectorAll('.copy')) {
  button.addEventListener('click', async () => {
    const code = button.parentElement.querySelector('code');
    let done = false;
    try {
      await navigator.clipboard.writeText(code.textContent);
      done = true;
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand('copy');
    }
    button.textContent = done ? 'copied' : 'selected';
    setTimeout(() => { button.textContent = 'copy'; }, 1500);
  });
}

const find = document.querySelector('.find');
if (find) {
  find.addEventListener('input', () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll('.settings [data-key]')) {
      const text = `${row.dataset.key} ${row.textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    for (const group of document.querySelectorAll('.settings .group')) {
      group.hidden = !group.querySelector('[data-key]:not([hidden])');
    }
  });
}

const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.hash.slice(1), link]));
const visible = new Set();
const watcher = new IntersectionObserver((entries) => {
  entries.forEach((entry) => visible[entry.isIntersecting ? 'add' : 'delete'](entry.target.id));
  const now = [...links.keys()].find((id) => visible.has(id));
  links.forEach((link, id) => (id === now ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current')));
}, { rootMargin: '-60px 0px -55% 0px' });
document.querySelectorAll('main > section').forEach((section) => watcher.observe(section));
root.dataset.ready = `${data.charts.length} charts ${data.map ? data.map.x.length : 0} points`;
