// Masks that a network predicts inside of boxes, as pixels of the picture.

const LEAST_PROBABILITY = 0.5;

/**
 * Paste a mask into its box, as mmdet does: bilinear between the centres of its cells, then a threshold.
 *
 * @param {Float32Array} cells side x side probabilities, row by row
 * @param {number} side
 * @param {number[]} box left, top, right, bottom in pixels of the picture
 * @param {{width: number, height: number}} size of the picture
 * @returns {?{left: number, top: number, width: number, height: number, bits: Uint8Array}} the pixels in the box, 1 for
 *   the object; null where the box has none
 */
export function pasted(cells, side, box, size) {
  const left = Math.max(0, Math.floor(box[0]));
  const top = Math.max(0, Math.floor(box[1]));
  const width = Math.min(size.width, Math.ceil(box[2])) - left;
  const height = Math.min(size.height, Math.ceil(box[3])) - top;
  if (!(width > 0 && height > 0)) return null;
  const bits = new Uint8Array(width * height);
  // Outside of the cells the probability is 0.
  const cell = (row, column) =>
    (row < 0 || column < 0 || row >= side || column >= side ? 0 : cells[row * side + column]);
  for (let y = 0; y < height; y += 1) {
    const v = ((top + y + 0.5 - box[1]) / (box[3] - box[1])) * side - 0.5;
    const row = Math.floor(v);
    for (let x = 0; x < width; x += 1) {
      const u = ((left + x + 0.5 - box[0]) / (box[2] - box[0])) * side - 0.5;
      const column = Math.floor(u);
      const above = cell(row, column) * (column + 1 - u) + cell(row, column + 1) * (u - column);
      const below = cell(row + 1, column) * (column + 1 - u) + cell(row + 1, column + 1) * (u - column);
      bits[y * width + x] = above * (row + 1 - v) + below * (v - row) >= LEAST_PROBABILITY ? 1 : 0;
    }
  }
  return { left, top, width, height, bits };
}
