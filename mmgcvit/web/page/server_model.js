// A model that runs in the program by which this page is served.

import { Fault } from './fault.js';

export class ServerModel {
  /** @param {object} entry of models.json */
  constructor(entry) {
    this.entry = entry;
  }

  /** There is nothing to load: the program has the model. */
  async load() {}

  /**
   * @param {import('./picture.js').Picture} picture
   * @returns {Promise<import('./outputs.js').Prediction>}
   * @throws {Fault} what the program says, or that it does not answer
   */
  async predict({ file }) {
    let response;
    try {
      response = await fetch('predict', { method: 'POST', body: file, headers: { 'Content-Type': file.type } });
    } catch {
      throw new Fault('The program that serves this page does not answer: start it again (mmgcvit web).');
    }
    if (!response.ok) throw new Fault(await response.text());
    return withPixels(await response.json());
  }

  close() {}
}

/** The server's answer, with masks and label maps as pixels instead of PNG files. */
async function withPixels(answer) {
  for (const found of answer.objects ?? []) {
    if (found.mask) {
      const { labels, width, height } = await labelsOf(found.mask.png);
      found.mask = { left: found.mask.left, top: found.mask.top, width, height, bits: Uint8Array.from(labels) };
    }
  }
  if (answer.labelMap) answer.labelMap = await labelsOf(answer.labelMap.png);
  return answer;
}

/** The numbers in a PNG file: red, and 256 times green. */
async function labelsOf(png) {
  const content = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([content], { type: 'image/png' }), { colorSpaceConversion: 'none' });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const labels = Uint16Array.from({ length: width * height }, (_, i) => data[4 * i] + 256 * data[4 * i + 1]);
  return { width, height, labels };
}
