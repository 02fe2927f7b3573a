// A model that runs in this browser.

import { Fault } from './fault.js';
import { fetchedFile } from './fetching.js';

export class BrowserModel {
  /** @param {object} entry of models.json */
  constructor(entry) {
    this.entry = entry;
  }

  /**
   * Fetch the network and have it ready.
   *
   * @param {(share: number) => void} progress
   * @throws {Fault} its file is missing or damaged, or the browser cannot run it
   */
  async load(progress) {
    const content = await fetched(this.entry, progress);
    await checkContent(content, this.entry);
    this.worker = new Orders(new Worker('worker.js', { type: 'module' }));
    try {
      await this.worker.give('load', { content }, [content]);
    } catch (error) {
      this.close();
      if (error instanceof Fault) throw error;
      throw new Fault(`${this.entry.file} cannot be run in this browser: ${firstLine(error)}`);
    }
  }

  /**
   * @param {import('./picture.js').Picture} picture
   * @returns {Promise<import('./outputs.js').Prediction>}
   */
  async predict({ canvas }) {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    try {
      return await this.worker.give('predict', { picture: pixels, model: this.entry });
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new Fault(`The network cannot take this picture: ${firstLine(error)}`);
    }
  }

  close() {
    this.worker?.close();
    this.worker = null;
  }
}

/** A worker that answers each order by one message. */
class Orders {
  constructor(worker) {
    this.worker = worker;
    this.waiting = new Map();
    this.given = 0;
    worker.onmessage = ({ data: { id, answer, error } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.fail(new Fault('ONNX Runtime is missing or damaged on this page: build the page again (make web).'));
    };
  }

  give(order, given, transferred = []) {
    this.given += 1;
    const id = this.given;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, order, given }, transferred);
    });
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  close() {
    this.worker.terminate();
    this.fail(new Fault('The model was put away before it had answered.'));
  }
}

/** The network's file, in one piece. */
async function fetched({ file, bytes }, progress) {
  const response = await fetchedFile(file);
  const parts = [];
  let received = 0;
  const reader = response.body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      received += part.value.length;
      progress(Math.min(1, received / bytes));
    }
  } catch {
    throw new Fault(`${file} was not fetched to its end: load the page again.`);
  }
  return new Blob(parts).arrayBuffer();
}

/** Refuse what is not the file that the page was built with. */
async function checkContent(content, { file, bytes, sha256 }) {
  let same = content.byteLength === bytes;
  // Browsers compute digests on pages of https and of this device only.
  if (same && globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
    same = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') === sha256;
  }
  if (!same) {
    throw new Fault(`${file} is damaged: it is not the file that this page was built with; build it again (make web).`);
  }
}

// ONNX Runtime's messages name its own sources at length.
const LONGEST_REASON = 160;

function firstLine(error) {
  const line = error.message.split('\n')[0].replace(/[.\s]+$/, '');
  return line.length > LONGEST_REASON ? `${line.slice(0, LONGEST_REASON)}…` : `${line}.`;
}
