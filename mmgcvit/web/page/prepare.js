// Pictures as a network takes them: what the test pipeline of its config does, in the same arithmetic.

/**
 * The size to which a picture is resized.
 *
 * @param {{width: number, height: number}} size of the picture
 * @param {{scale: [number, number], keep_ratio: boolean}} model
 */
export function networkSize({ width, height }, { scale, keep_ratio }) {
  if (!keep_ratio) return { width: scale[0], height: scale[1] };
  const factor = Math.min(
    Math.max(...scale) / Math.max(width, height),
    Math.min(...scale) / Math.min(width, height),
  );
  const side = (length) => Math.max(1, Math.floor(length * factor + 0.5));
  return { width: side(width), height: side(height) };
}

/**
 * Where pixels of the output lie among those of the input, along one axis: as OpenCV's INTER_LINEAR, half-pixel
 * centres and no smoothing before reduction.
 */
function places(from, to) {
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  const share = new Float32Array(to);
  for (let i = 0; i < to; i += 1) {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    first[i] = Math.floor(at);
    second[i] = Math.min(first[i] + 1, from - 1);
    share[i] = at - first[i];
  }
  return { first, second, share };
}

/**
 * A picture as a batch of one: resized, normalised, and padded with zeros on the right and at the bottom.
 *
 * @param {ImageData} picture red, green, blue, alpha
 * @param {object} model its entry in models.json
 * @returns {{values: Float32Array, dims: number[], across: number, down: number}} values of shape dims = (1, 3, H, W);
 *   across and down: pixels of the network's input for one of the picture
 */
export function prepared(picture, model) {
  const size = networkSize(picture, model);
  const padded = (side) => Math.ceil(side / model.size_divisor) * model.size_divisor;
  const dims = [1, 3, padded(size.height), padded(size.width)];
  const values = new Float32Array(dims[1] * dims[2] * dims[3]);
  const columns = places(picture.width, size.width);
  const rows = places(picture.height, size.height);
  const channels = model.channel_order === 'bgr' ? [2, 1, 0] : [0, 1, 2];
  for (let channel = 0; channel < 3; channel += 1) {
    const at = (row, column) => picture.data[4 * (row * picture.width + column) + channels[channel]];
    for (let y = 0; y < size.height; y += 1) {
      const [top, bottom, down] = [rows.first[y], rows.second[y], rows.share[y]];
      for (let x = 0; x < size.width; x += 1) {
        const [left, right, across] = [columns.first[x], columns.second[x], columns.share[x]];
        const above = at(top, left) * (1 - across) + at(top, right) * across;
        const below = at(bottom, left) * (1 - across) + at(bottom, right) * across;
        // Eight bits, as the pipeline's resized image has.
        const value = Math.round(above * (1 - down) + below * down);
        values[(channel * dims[2] + y) * dims[3] + x] = (value - model.mean[channel]) / model.std[channel];
      }
    }
  }
  return { values, dims, across: size.width / picture.width, down: size.height / picture.height };
}
