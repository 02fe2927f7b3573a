// What networks put out, as predictions: plain values in pixels of the picture.

import { pasted } from './masks.js';

/**
 * @typedef {object} Prediction
 * @property {{width: number, height: number}} size the pixels in which the rest is counted
 * @property {?number[]} scores a classifier's, by class
 * @property {?{label: number, score: number, box: number[], mask: ?object}[]} objects a detector's, the surest first
 * @property {?{width: number, height: number, labels: Uint16Array}} labelMap a segmentor's
 * @property {?{rows: number, columns: number, values: number[], box: number[], title: string}} attention row by
 *   row; box: what the map covers; title: what it is
 */

/**
 * @param {object} outputs by name: {data, dims}
 * @param {object} model its entry in models.json
 * @param {{width: number, height: number}} size of the picture
 * @param {{across: number, down: number}} input of prepare.js
 * @returns {Prediction}
 */
export function predictionOf(outputs, model, size, input) {
  return {
    size,
    scores: model.task === 'classification' ? Array.from(outputs.scores.data) : null,
    objects: model.task === 'detection' ? objectsOf(outputs, size, input) : null,
    labelMap: null,
    attention: outputs.attention ? attentionOf(outputs.attention, model.attention, input) : null,
  };
}

function objectsOf({ boxes, scores, labels, masks }, size, { across, down }) {
  const side = masks ? masks.dims[2] : 0;
  return Array.from(scores.data, (score, i) => {
    const [left, top, right, bottom] = boxes.data.subarray(4 * i, 4 * i + 4);
    const box = [left / across, top / down, right / across, bottom / down];
    const cells = masks && masks.data.subarray(i * side * side, (i + 1) * side * side);
    return { label: Number(labels.data[i]), score, box, mask: masks ? pasted(cells, side, box, size) : null };
  });
}

function attentionOf({ data, dims: [, rows, columns] }, { stride, title }, { across, down }) {
  return {
    title,
    rows,
    columns,
    values: Array.from(data),
    box: [0, 0, (columns * stride) / across, (rows * stride) / down],
  };
}
