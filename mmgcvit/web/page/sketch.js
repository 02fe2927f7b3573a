// A picture that one draws: bright lines on a dark ground, as the digits are that the models know.

const SIDE = 256;
const GROUND = 'rgb(30, 30, 34)';
const INK = 'rgb(235, 225, 190)';
// Pixels of the sketch that an arrow key goes.
const STEP = 6;
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

export class Sketch {
  /**
   * @param {HTMLCanvasElement} surface where one draws; it shows the sketch in any size
   * @param {() => number} pen the width of lines in pixels of the sketch
   * @param {{drawn: () => void, ended: () => void}} listener drawn: something changed; ended: a line has ended
   */
  constructor(surface, pen, listener) {
    this.canvas = document.createElement('canvas');
    this.canvas.width = SIDE;
    this.canvas.height = SIDE;
    this.surface = surface;
    this.pen = pen;
    this.listener = listener;
    this.lines = [];
    this.line = null;
    this.cursor = [SIDE / 2, SIDE / 2];
    this.active = false;
    this.byKeys = false;
    surface.addEventListener('pointerdown', (event) => this.active && this.begin(event));
    surface.addEventListener('pointermove', (event) => this.pointer === event.pointerId && this.follow(event));
    for (const name of ['pointerup', 'pointercancel']) {
      surface.addEventListener(name, (event) => this.pointer === event.pointerId && this.lift());
    }
    surface.addEventListener('keydown', (event) => this.active && this.key(event));
    this.paint();
  }

  /** @param {boolean} active whether the surface is to be drawn on */
  activate(active) {
    this.active = active;
    this.lift();
    this.surface.classList.toggle('drawn-on', active);
    this.surface.tabIndex = active ? 0 : -1;
  }

  undo() {
    this.lines.pop();
    this.changed();
  }

  clear() {
    this.lines = [];
    this.changed();
  }

  get empty() {
    return this.lines.length === 0;
  }

  changed() {
    this.line = null;
    this.paint();
    this.listener.drawn();
    this.listener.ended();
  }

  place({ clientX, clientY }) {
    const box = this.surface.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * SIDE, ((clientY - box.top) / box.height) * SIDE];
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.surface.focus({ preventScroll: true });
    this.lift();
    this.pointer = event.pointerId;
    this.byKeys = false;
    this.surface.setPointerCapture(event.pointerId);
    this.start(this.place(event));
  }

  start(point) {
    this.line = { width: this.pen(), points: [point] };
    this.lines.push(this.line);
    this.paint();
    this.listener.drawn();
  }

  follow(event) {
    // Between two frames a pointer may have been at several places.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.line.points.push(this.place(each));
    this.paint();
    this.listener.drawn();
  }

  lift() {
    this.pointer = null;
    if (!this.line) return;
    this.line = null;
    this.listener.ended();
  }

  key(event) {
    this.byKeys ||= event.key === ' ' || event.key in ARROWS;
    if (event.key === ' ') {
      event.preventDefault();
      if (this.line) this.lift();
      else this.start([...this.cursor]);
    } else if (event.key in ARROWS) {
      event.preventDefault();
      this.cursor = this.cursor.map((at, i) => Math.min(Math.max(at + ARROWS[event.key][i], 0), SIDE));
      this.line?.points.push([...this.cursor]);
      this.paint();
      this.listener.drawn();
    }
  }

  paint() {
    const context = this.canvas.getContext('2d', { willReadFrequently: true });
    context.fillStyle = GROUND;
    context.fillRect(0, 0, SIDE, SIDE);
    context.strokeStyle = INK;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    for (const { width, points } of this.lines) {
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(...points[0]);
      // A point is a line of no length, of which the round ends remain.
      for (const point of points.length > 1 ? points.slice(1) : points) context.lineTo(...point);
      context.stroke();
    }
  }

  /** A layer for the stage: where the arrow keys have brought the pen. */
  cursorLayer() {
    return (context, size) => {
      if (!this.byKeys || document.activeElement !== this.surface) return;
      const [x, y] = [(this.cursor[0] / SIDE) * size.width, (this.cursor[1] / SIDE) * size.height];
      context.lineWidth = 1.5;
      context.strokeStyle = 'white';
      context.beginPath();
      context.moveTo(x - 7, y);
      context.lineTo(x + 7, y);
      context.moveTo(x, y - 7);
      context.lineTo(x, y + 7);
      context.stroke();
    };
  }
}
