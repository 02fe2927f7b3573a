// What the first bytes of a file say of the image in it, so that nothing is decoded that is too large or no image.

import { Fault } from './fault.js';

// Pixels of a side. Decoded images of this size take 400 MB, more than browsers on phones give to a page.
export const LONGEST_SIDE = 10_000;
// Cameras put previews and colour profiles before the size, of up to 64 KiB each.
export const HEADER_BYTES = 1 << 20;

const FORMATS = [
  { name: 'PNG', begins: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], size: sizeOfPng },
  { name: 'JPEG', begins: [0xff, 0xd8, 0xff], size: sizeOfJpeg },
  { name: 'GIF', begins: [0x47, 0x49, 0x46, 0x38], size: sizeOfGif },
  { name: 'WebP', begins: [0x52, 0x49, 0x46, 0x46], size: sizeOfWebp },
  { name: 'BMP', begins: [0x42, 0x4d], size: sizeOfBmp },
];

/**
 * The width and height that a file announces.
 *
 * @param {DataView} bytes its beginning
 * @param {string} name for messages
 * @returns {{width: number, height: number}}
 * @throws {Fault} it is no image of a known format, or one that is too large
 */
export function announcedSize(bytes, name) {
  const at = (i) => (i < bytes.byteLength ? bytes.getUint8(i) : null);
  const format = FORMATS.find(({ begins }) => begins.every((byte, i) => at(i) === byte));
  if (!format) throw new Fault(`${name} is no image: take a PNG, JPEG, WebP, GIF or BMP file.`);
  let size;
  try {
    size = format.size(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  if (!size || size.width < 1 || size.height < 1) {
    throw new Fault(`${name} begins as a ${format.name} image and is damaged: it does not say how large it is.`);
  }
  if (Math.max(size.width, size.height) > LONGEST_SIDE) {
    throw new Fault(
      `${name} has ${size.width} x ${size.height} pixels; take one of at most ${LONGEST_SIDE} pixels a side.`,
    );
  }
  return size;
}

function sizeOfPng(bytes) {
  return { width: bytes.getUint32(16), height: bytes.getUint32(20) };
}

function sizeOfGif(bytes) {
  return { width: bytes.getUint16(6, true), height: bytes.getUint16(8, true) };
}

function sizeOfBmp(bytes) {
  // Rows from the top down have a negative height.
  return { width: Math.abs(bytes.getInt32(18, true)), height: Math.abs(bytes.getInt32(22, true)) };
}

function sizeOfJpeg(bytes) {
  let at = 2;
  for (;;) {
    while (bytes.getUint8(at) === 0xff && bytes.getUint8(at + 1) === 0xff) at += 1;
    if (bytes.getUint8(at) !== 0xff) return null;
    const marker = bytes.getUint8(at + 1);
    // The frames' headers are C0 to CF, but for the tables C4, C8 and CC.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { width: bytes.getUint16(at + 7), height: bytes.getUint16(at + 5) };
    }
    at += 2 + bytes.getUint16(at + 2);
  }
}

function sizeOfWebp(bytes) {
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((i) => bytes.getUint8(i)));
  if (kind === 'VP8 ') {
    return { width: bytes.getUint16(26, true) & 0x3fff, height: bytes.getUint16(28, true) & 0x3fff };
  }
  if (kind === 'VP8L') {
    const bits = bytes.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (kind === 'VP8X') {
    const of24 = (at) => bytes.getUint16(at, true) + (bytes.getUint8(at + 2) << 16) + 1;
    return { width: of24(24), height: of24(27) };
  }
  return null;
}
