// The picture on the page, with what was found drawn over it.

import { css, heat, inkOn } from './colours.js';

const MASK_ALPHA = 0.45;
const SEGMENT_ALPHA = 0.55;
const ATTENTION_ALPHA = 0.6;
// Pixels of the page.
const LINE = 2;
const WORDS = 13;

export class Stage {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    this.show(null);
  }

  /** @param {?HTMLCanvasElement} picture to show; nothing is found in it yet */
  show(picture) {
    this.picture = picture;
    this.layers = [];
    this.draw();
  }

  /** @param {((context: CanvasRenderingContext2D, scale: Scale) => void)[]} layers what to draw over the picture */
  put(layers) {
    this.layers = layers;
    this.draw();
  }

  draw() {
    const { canvas, picture } = this;
    canvas.hidden = !picture;
    if (!picture) return;
    const room = canvas.parentElement;
    const most = { width: room.clientWidth, height: Math.max(240, Math.min(window.innerHeight * 0.66, 640)) };
    const factor = Math.min(most.width / picture.width, most.height / picture.height);
    const size = { width: Math.round(picture.width * factor), height: Math.round(picture.height * factor) };
    const density = window.devicePixelRatio || 1;
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
    canvas.width = Math.max(1, Math.round(size.width * density));
    canvas.height = Math.max(1, Math.round(size.height * density));
    const context = canvas.getContext('2d');
    context.scale(density, density);
    context.imageSmoothingQuality = 'high';
    context.drawImage(picture, 0, 0, size.width, size.height);
    for (const layer of this.layers) layer(context, size);
  }
}

/** Pixels of the page for one in which a prediction is counted. */
function scaleOf(prediction, size) {
  return { across: size.width / prediction.size.width, down: size.height / prediction.size.height };
}

export function masksLayer(prediction, objects, palette) {
  const masks = objects.filter(({ mask }) => mask).map(({ mask, label }) => ({
    ...mask,
    image: coloured(mask.bits, mask, (bit) => (bit ? [...palette[label], 255 * MASK_ALPHA] : null)),
  }));
  return (context, size) => {
    const { across, down } = scaleOf(prediction, size);
    for (const { image, left, top, width, height } of masks) {
      context.drawImage(image, left * across, top * down, width * across, height * down);
    }
  };
}

export function boxesLayer(prediction, objects, palette, classes) {
  return (context, size) => {
    const { across, down } = scaleOf(prediction, size);
    // The surest last, over the others.
    for (const { box, label, score } of [...objects].reverse()) {
      const [left, right] = [box[0] * across, box[2] * across];
      const [top, bottom] = [box[1] * down, box[3] * down];
      outline(context, [left, top, right - left, bottom - top], palette[label]);
      tag(context, `${classes[label]}  ${score.toFixed(2)}`, left, top, palette[label], size);
    }
  };
}

/** A dark line under a coloured one: to be seen on any picture. */
function outline(context, box, colour) {
  context.lineJoin = 'round';
  context.lineWidth = LINE + 2;
  context.strokeStyle = 'rgb(0 0 0 / 0.6)';
  context.strokeRect(...box);
  context.lineWidth = LINE;
  context.strokeStyle = css(colour);
  context.strokeRect(...box);
}

/** Words on a ground of a class's colour, above the box; inside of it where there is no room, within the picture. */
function tag(context, words, left, top, colour, size) {
  context.font = `600 ${WORDS}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  const width = context.measureText(words).width + 10;
  const height = WORDS + 7;
  const x = Math.max(0, Math.min(left - LINE, size.width - width));
  const y = top - height >= 0 ? top - height : Math.max(0, top);
  context.fillStyle = css(colour);
  context.fillRect(x, y, width, height);
  context.fillStyle = inkOn(colour);
  context.fillText(words, x + 5, y + height / 2 + 1);
}

export function segmentsLayer(prediction, palette) {
  const { labelMap } = prediction;
  const image = coloured(labelMap.labels, labelMap, (label) => [...(palette[label] ?? [0, 0, 0]), 255 * SEGMENT_ALPHA]);
  return (context, size) => {
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, size.width, size.height);
    context.imageSmoothingEnabled = true;
  };
}

export function attentionLayer(prediction) {
  const { rows, columns, values, box } = prediction.attention;
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const amounts = values.map((value) => (most > least ? (value - least) / (most - least) : 0));
  const image = coloured(amounts, { width: columns, height: rows }, (amount) => [...heat(amount), 255]);
  return (context, size) => {
    const { across, down } = scaleOf(prediction, size);
    context.globalAlpha = ATTENTION_ALPHA;
    context.drawImage(image, box[0] * across, box[1] * down, (box[2] - box[0]) * across, (box[3] - box[1]) * down);
    context.globalAlpha = 1;
  };
}

/** Values as a canvas of one pixel each. */
function coloured(values, { width, height }, colourOf) {
  const canvas = new OffscreenCanvas(width, height);
  const pixels = new ImageData(width, height);
  values.forEach((value, i) => {
    const colour = colourOf(value);
    if (colour) pixels.data.set(colour, 4 * i);
  });
  canvas.getContext('2d').putImageData(pixels, 0, 0);
  return canvas;
}
