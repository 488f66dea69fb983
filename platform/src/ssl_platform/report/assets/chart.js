// Curves on canvases. One cursor for all of them: what is read in one chart is read at the same step in every other.
const root = document.documentElement;
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

const rounded = (value) => {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(1).replace('e+', 'e');
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(+value.toPrecision(4));
};

const sized = (canvas) => {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
};

const ticks = (low, high, count, least = 0) => {
  const raw = Math.max(least, (high - low) / Math.max(1, count));
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = (least ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10]).map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(+(i * step).toPrecision(12));
  return found;
};

const logTicks = (low, high) => {
  const found = [];
  const span = Math.log10(high / low);
  if (span < 0.5) return ticks(low, high, 4);
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const m of span > 3 ? [1] : [1, 2, 5]) {
      const value = m * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(+value.toPrecision(3));
    }
  }
  return found;
};

const nearest = (xs, x) => {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle; else high = middle;
  }
  return x - xs[low] < xs[high] - x ? low : high;
};

class Chart {
  constructor(figure, spec, cursor) {
    Object.assign(this, { figure, spec, cursor, log: false });
    this.canvas = figure.querySelector('canvas');
    this.readout = figure.querySelector('.readout');
    this.button = figure.querySelector('.log');
    this.steps = spec.series.reduce((best, s) => (s.x.length > best.length ? s.x : best), []);
    this.faint = spec.series.length === 2 && spec.series[0].name.includes('each step');
    if (this.button) {
      this.button.addEventListener('click', () => {
        this.log = !this.log;
        this.button.setAttribute('aria-pressed', String(this.log));
        this.draw();
      });
    }
    this.canvas.addEventListener('pointermove', (event) => cursor.move(this.stepAt(event.offsetX)));
    this.canvas.addEventListener('pointerdown', (event) => cursor.move(this.stepAt(event.offsetX)));
    this.canvas.addEventListener('pointerleave', () => cursor.move(null));
    this.canvas.addEventListener('blur', () => cursor.move(null));
    this.canvas.addEventListener('keydown', (event) => this.key(event));
  }

  stepAt(offset) {
    const { left, right, first, last } = this.frame;
    const x = first + ((offset - left) / Math.max(1, right - left)) * (last - first);
    return this.steps[nearest(this.steps, x)];
  }

  key(event) {
    const at = this.cursor.step === null ? -1 : nearest(this.steps, this.cursor.step);
    const far = Math.max(1, Math.round(this.steps.length / 20));
    const moves = { ArrowRight: at + 1, ArrowLeft: at < 0 ? this.steps.length - 1 : at - 1, PageDown: at + far, PageUp: at - far, Home: 0, End: this.steps.length - 1 };
    if (event.key === 'Escape') this.cursor.move(null);
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.cursor.move(this.steps[Math.min(this.steps.length - 1, Math.max(0, moves[event.key]))]);
  }

  range() {
    const solid = this.faint ? this.spec.series[1] : null;
    const values = this.spec.series.flatMap((s) => s.y);
    let low = Math.min(...values), high = Math.max(...values);
    if (solid) {
      // A few wild steps must not flatten the curve that is read.
      const sorted = [...this.spec.series[0].y].sort((a, b) => a - b);
      low = Math.min(sorted[Math.floor(0.005 * sorted.length)], ...solid.y);
      high = Math.max(sorted[Math.ceil(0.995 * sorted.length) - 1], ...solid.y);
    }
    for (const line of this.spec.lines) {
      low = Math.min(low, line.y);
      high = Math.max(high, line.y);
    }
    if (this.log) {
      low = Math.max(low, Math.min(...values.filter((v) => v > 0)));
      const room = (high / low) ** 0.06;
      return high > low ? [low / room, high * room] : [low / 2, high * 2];
    }
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    const floor = low >= 0 && low - room < 0 ? 0 : low - room;
    return [floor, high + room];
  }

  draw() {
    const { pen, width, height } = sized(this.canvas);
    const [low, high] = this.range();
    const inks = { rule: colour('--rule'), quiet: colour('--quiet'), ink: colour('--ink'), card: colour('--card'), bad: colour('--bad') };
    pen.font = `11px ${colour('--sans')}`;
    const levels = this.log ? logTicks(low, high) : ticks(low, high, Math.max(3, Math.round(height / 50)));
    const left = Math.ceil(Math.max(...levels.map((v) => pen.measureText(rounded(v)).width))) + 8;
    const right = width - 8, top = 8, bottom = height - 20;
    const first = this.steps[0], last = this.steps[this.steps.length - 1];
    const scale = this.log ? (v) => Math.log(Math.max(v, 1e-300)) : (v) => v;
    const px = (x) => (last === first ? (left + right) / 2 : left + ((x - first) / (last - first)) * (right - left));
    const py = (y) => bottom - ((scale(y) - scale(low)) / (scale(high) - scale(low))) * (bottom - top);
    this.frame = { left, right, top, bottom, first, last };

    pen.lineWidth = 1;
    pen.textBaseline = 'middle';
    pen.textAlign = 'right';
    for (const level of levels) {
      pen.strokeStyle = inks.rule;
      pen.beginPath(); pen.moveTo(left, Math.round(py(level)) + 0.5); pen.lineTo(right, Math.round(py(level)) + 0.5); pen.stroke();
      pen.fillStyle = inks.quiet;
      pen.fillText(rounded(level), left - 6, py(level));
    }
    pen.textBaseline = 'alphabetic';
    const marks = last > first ? ticks(first, last, Math.max(2, Math.round(width / 110)), 1) : [first];
    for (const mark of marks) {
      pen.textAlign = px(mark) > right - 14 ? 'right' : px(mark) < left + 14 ? 'left' : 'center';
      pen.fillStyle = inks.quiet;
      pen.fillText(rounded(mark), px(mark), height - 5);
    }

    pen.save();
    pen.beginPath(); pen.rect(left, top - 4, right - left + 8, bottom - top + 8); pen.clip();
    for (const line of this.spec.lines) this.level(pen, line, py(line.y), left, right, inks);
    this.spec.series.forEach((series, i) => {
      const quiet = this.faint && i === 0;
      pen.strokeStyle = colour(this.faint ? '--c1' : `--c${(i % 8) + 1}`);
      pen.globalAlpha = quiet ? 0.35 : 1;
      pen.lineWidth = quiet ? 1 : 2;
      pen.lineJoin = 'round';
      pen.beginPath();
      series.x.forEach((x, j) => pen[j ? 'lineTo' : 'moveTo'](px(x), py(series.y[j])));
      pen.stroke();
      if (series.x.length < 30 && !quiet) {
        pen.fillStyle = pen.strokeStyle;
        series.x.forEach((x, j) => { pen.beginPath(); pen.arc(px(x), py(series.y[j]), 2.5, 0, 7); pen.fill(); });
      }
      pen.globalAlpha = 1;
    });
    for (const line of this.spec.lines) this.name(pen, line, py, right, top, bottom, inks);
    this.marked(pen, px, py, inks, top, bottom);
    pen.restore();
  }

  level(pen, line, y, left, right, inks) {
    const limit = line.kind === 'limit';
    pen.strokeStyle = limit ? inks.bad : inks.quiet;
    pen.lineWidth = limit ? 1.5 : 1;
    pen.setLineDash(limit ? [] : [5, 4]);
    pen.beginPath(); pen.moveTo(left, y); pen.lineTo(right, y); pen.stroke();
    pen.setLineDash([]);
  }

  name(pen, line, py, right, top, bottom, inks) {
    const y = py(line.y);
    const ends = this.spec.series.map((s) => py(s.y[s.y.length - 1])).filter((end) => Math.abs(end - y) < 24);
    const limit = line.kind === 'limit';
    pen.textAlign = 'right';
    const wide = pen.measureText(line.name).width;
    // The name stands on the side of its line where no curve ends.
    const under = y - 16 < top || (ends.length ? Math.min(...ends) < y : line.name.includes('below'));
    const place = under && y + 15 < bottom ? y + 13 : y - 5;
    pen.fillStyle = inks.card;
    pen.globalAlpha = 0.8;
    pen.fillRect(right - wide - 4, place - 10, wide + 4, 13);
    pen.globalAlpha = 1;
    pen.fillStyle = limit ? inks.bad : inks.quiet;
    pen.fillText(line.name, right - 2, place);
  }

  marked(pen, px, py, inks, top, bottom) {
    const step = this.cursor.step;
    if (step === null) {
      this.readout.textContent = this.spec.series.length > 1 && !this.faint ? this.spec.series.map((s) => s.name).join(' · ') : '';
      return;
    }
    const words = [];
    this.spec.series.forEach((series, i) => {
      const j = nearest(series.x, step);
      if (Math.abs(series.x[j] - step) > (this.frame.last - this.frame.first) / 8 + 1) return;
      words.push(`${this.spec.series.length > 1 ? `${series.name} ` : ''}${rounded(series.y[j])}`);
      if (!words[0].startsWith('step')) words.unshift(`step ${series.x[j].toLocaleString('en')}`);
      pen.fillStyle = colour(this.faint ? '--c1' : `--c${(i % 8) + 1}`);
      pen.strokeStyle = inks.card;
      pen.lineWidth = 1.5;
      pen.beginPath(); pen.arc(px(series.x[j]), py(series.y[j]), 4, 0, 7); pen.fill(); pen.stroke();
    });
    pen.strokeStyle = inks.quiet;
    pen.lineWidth = 1;
    pen.globalCompositeOperation = 'destination-over';
    pen.beginPath(); pen.moveTo(px(step), top); pen.lineTo(px(step), bottom); pen.stroke();
    pen.globalCompositeOperation = 'source-over';
    this.readout.textContent = words.join(', ');
  }
}
