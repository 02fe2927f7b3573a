// Pictures that the page holds: decoded, upright, and not larger than a screen shows.

import { Fault } from './fault.js';
import { HEADER_BYTES, announcedSize } from './image_header.js';

// Larger pictures are reduced: no network of the page, and no screen, has use for more.
const LONGEST_KEPT = 1600;
const MOST_BYTES = 64 << 20;

/**
 * @typedef {object} Picture
 * @property {HTMLCanvasElement} canvas its pixels, upright
 * @property {{width: number, height: number}} size of the file, upright; the canvas may be smaller
 * @property {Blob} file as it was given
 * @property {string} name
 */

/**
 * Decode a file.
 *
 * @param {Blob} file
 * @param {string} name for messages
 * @returns {Promise<Picture>}
 * @throws {Fault} it is no image, damaged, or too large
 */
export async function decoded(file, name) {
  if (file.size === 0) throw new Fault(`${name} is empty: it has 0 bytes.`);
  if (file.size > MOST_BYTES) {
    const size = Math.round(file.size / (1 << 20));
    throw new Fault(`${name} has ${size} MiB; take one of at most ${MOST_BYTES >> 20} MiB.`);
  }
  announcedSize(new DataView(await file.slice(0, HEADER_BYTES).arrayBuffer()), name);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    throw new Fault(`${name} cannot be decoded: the file is damaged, or of a kind that this browser does not know.`);
  }
  try {
    return { canvas: reduced(bitmap), size: { width: bitmap.width, height: bitmap.height }, file, name };
  } finally {
    bitmap.close();
  }
}

/** A bitmap as a canvas of at most LONGEST_KEPT pixels a side. Transparent parts are white. */
function reduced(bitmap) {
  const factor = Math.min(1, LONGEST_KEPT / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = 'white';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}
