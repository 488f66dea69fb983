// The embedding map: one mark an item, its colour and shape by label, its picture on hover or by keyboard.
const SHAPES = ['disc', 'square', 'triangle', 'diamond', 'ring', 'cross', 'down', 'plus'];
// Viridis at eight places: even steps of lightness for every kind of sight.
const VIRIDIS = [[68, 1, 84], [70, 50, 126], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 193, 109], [160, 218, 57], [253, 231, 37]];

const viridis = (t) => {
  const at = Math.min(0.9999, Math.max(0, t)) * (VIRIDIS.length - 1);
  const low = VIRIDIS[Math.floor(at)], high = VIRIDIS[Math.floor(at) + 1];
  return `rgb(${low.map((v, i) => Math.round(v + (high[i] - v) * (at % 1))).join(' ')})`;
};

const mark = (pen, shape, x, y, r) => {
  pen.beginPath();
  if (shape === 'disc' || shape === 'ring') pen.arc(x, y, r, 0, 7);
  if (shape === 'square') pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  if (shape === 'triangle') { pen.moveTo(x, y - r * 1.15); pen.lineTo(x + r * 1.1, y + r * 0.85); pen.lineTo(x - r * 1.1, y + r * 0.85); pen.closePath(); }
  if (shape === 'down') { pen.moveTo(x, y + r * 1.15); pen.lineTo(x + r * 1.1, y - r * 0.85); pen.lineTo(x - r * 1.1, y - r * 0.85); pen.closePath(); }
  if (shape === 'diamond') { pen.moveTo(x, y - r * 1.25); pen.lineTo(x + r * 1.1, y); pen.lineTo(x, y + r * 1.25); pen.lineTo(x - r * 1.1, y); pen.closePath(); }
  if (shape === 'cross') { pen.moveTo(x - r, y - r); pen.lineTo(x + r, y + r); pen.moveTo(x + r, y - r); pen.lineTo(x - r, y + r); }
  if (shape === 'plus') { pen.moveTo(x - r * 1.2, y); pen.lineTo(x + r * 1.2, y); pen.moveTo(x, y - r * 1.2); pen.lineTo(x, y + r * 1.2); }
  if (shape === 'ring' || shape === 'cross' || shape === 'plus') { pen.lineWidth = Math.max(1.5, r * 0.45); pen.strokeStyle = pen.fillStyle; pen.stroke(); } else pen.fill();
};

class EmbeddingMap {
  constructor(figure, data) {
    Object.assign(this, { figure, data, chosen: -1, hidden: new Set() });
    this.canvas = figure.querySelector('.plane canvas');
    this.tip = figure.querySelector('.tip');
    this.readout = figure.querySelector('.readout');
    const known = (data.target || []).filter((v) => v !== null);
    this.low = Math.min(...known);
    this.high = Math.max(...known);
    this.order = data.x.map((_, i) => i).sort((a, b) => data.x[a] - data.x[b] || data.y[a] - data.y[b]);
    this.legend();
    this.canvas.addEventListener('pointermove', (event) => this.choose(this.near(event.offsetX, event.offsetY)));
    this.canvas.addEventListener('pointerdown', (event) => this.choose(this.near(event.offsetX, event.offsetY)));
    this.canvas.addEventListener('pointerleave', () => this.choose(-1));
    this.canvas.addEventListener('blur', () => this.choose(-1));
    this.canvas.addEventListener('keydown', (event) => this.key(event));
  }

  get classes() { return this.data.classes; }

  style(i) {
    const value = this.data.target ? this.data.target[i] : null;
    if (value === null) return [colour('--c7'), 'disc'];
    if (!this.classes.length) return [viridis((value - this.low) / (this.high - this.low || 1)), 'disc'];
    return [colour(`--c${(value % 8) + 1}`), SHAPES[value % SHAPES.length]];
  }

  label(i) {
    const value = this.data.target ? this.data.target[i] : null;
    if (value === null) return '';
    return this.classes.length ? this.classes[value] : rounded(value);
  }

  legend() {
    const place = this.figure.querySelector('.legend');
    place.replaceChildren();
    if (!this.data.target) return;
    if (!this.classes.length) {
      const bar = document.createElement('canvas');
      bar.className = 'scale';
      bar.width = 160; bar.height = 12;
      const pen = bar.getContext('2d');
      for (let x = 0; x < 160; x += 1) { pen.fillStyle = viridis(x / 159); pen.fillRect(x, 0, 1, 12); }
      place.append(rounded(this.low), bar, rounded(this.high));
      return;
    }
    const counts = this.classes.map((_, c) => this.data.target.filter((v) => v === c).length);
    const unknown = this.data.target.filter((v) => v === null).length;
    this.classes.forEach((name, c) => counts[c] && place.append(this.entry(name, c, counts[c])));
    if (unknown) place.append(this.entry('unknown', -1, unknown));
  }

  entry(name, c, count) {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-pressed', String(!this.hidden.has(c)));
    const icon = document.createElement('canvas');
    icon.width = 24; icon.height = 24;
    const pen = icon.getContext('2d');
    pen.fillStyle = colour(c < 0 ? '--c7' : `--c${(c % 8) + 1}`);
    mark(pen, c < 0 ? 'disc' : SHAPES[c % SHAPES.length], 12, 12, 8);
    button.append(icon, `${name} ${count}`);
    button.addEventListener('click', () => {
      if (this.hidden.has(c)) this.hidden.delete(c); else this.hidden.add(c);
      button.setAttribute('aria-pressed', String(!this.hidden.has(c)));
      this.draw();
    });
    return button;
  }

  shown(i) {
    if (!this.data.target || !this.classes.length) return true;
    const value = this.data.target[i];
    return !this.hidden.has(value === null ? -1 : value);
  }

  place(i) {
    const { width, height } = this.size, room = 16;
    const span = Math.min(width, height) - 2 * room;
    // The map keeps its shape; a wide canvas stretches it at most by half.
    const wide = Math.min(width - 2 * room, span * 1.5);
    const x = (width - wide) / 2 + (this.data.x[i] / this.data.cells) * wide;
    return [x, height - room - (height - 2 * room - span) / 2 - (this.data.y[i] / this.data.cells) * span];
  }

  near(x, y) {
    let best = -1, least = 18 * 18;
    this.data.x.forEach((_, i) => {
      if (!this.shown(i)) return;
      const [px, py] = this.place(i);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) { least = distance; best = i; }
    });
    return best;
  }

  key(event) {
    const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    if (event.key === 'Escape') this.choose(-1);
    if (!(event.key in moves)) return;
    event.preventDefault();
    const order = this.order.filter((i) => this.shown(i));
    if (!order.length) return;
    const at = order.indexOf(this.chosen);
    const next = at < 0 ? 0 : (at + moves[event.key] + order.length) % order.length;
    this.choose(order[next]);
  }

  picture(i) {
    const row = document.querySelector(`img[data-place="${i}"]`);
    return this.data.thumbnails[i] || (row ? row.src : null);
  }

  choose(i) {
    if (i === this.chosen) return;
    this.chosen = i;
    this.draw();
    this.tip.hidden = i < 0;
    const label = i < 0 ? '' : this.label(i);
    this.readout.textContent = i < 0 ? '' : `item ${this.data.items[i]}${label ? `, ${label}` : ''}`;
    if (i < 0) return;
    const parts = [];
    const source = this.picture(i);
    if (source) {
      const image = document.createElement('img');
      image.src = source;
      image.alt = '';
      parts.push(image);
    }
    const name = document.createElement('b');
    name.textContent = label;
    const item = document.createElement('span');
    item.textContent = this.data.items[i];
    this.tip.replaceChildren(...parts, ...(label ? [name] : []), item);
    const [x, y] = this.place(i);
    const wide = this.tip.offsetWidth, high = this.tip.offsetHeight;
    this.tip.style.left = `${Math.max(0, Math.min(x + 14, this.size.width - wide))}px`;
    this.tip.style.top = `${y + 14 + high > this.size.height ? Math.max(0, y - high - 12) : y + 14}px`;
  }

  draw() {
    const { pen, width, height } = sized(this.canvas);
    this.size = { width, height };
    const radius = this.data.x.length > 600 ? 3 : this.data.x.length > 150 ? 4 : 5;
    pen.globalAlpha = this.data.x.length > 600 ? 0.75 : 0.9;
    const styles = new Map();
    this.data.x.forEach((_, i) => {
      if (!this.shown(i)) return;
      const key = this.classes.length && this.data.target ? this.data.target[i] : i;
      if (!styles.has(key)) styles.set(key, this.style(i));
      const [ink, shape] = styles.get(key);
      pen.fillStyle = ink;
      mark(pen, shape, ...this.place(i), radius);
    });
    pen.globalAlpha = 1;
    if (this.chosen >= 0) {
      pen.strokeStyle = colour('--ink');
      pen.lineWidth = 2;
      pen.beginPath(); pen.arc(...this.place(this.chosen), radius + 5, 0, 7); pen.stroke();
    }
  }
}
