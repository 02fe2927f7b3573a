// Holds one network and runs it, beside the page, which stays responsive meanwhile.

import * as ort from './onnxruntime/ort.wasm.bundle.min.mjs';
import { predictionOf } from './outputs.js';
import { prepared } from './prepare.js';

// One thread: more need headers that plain web servers do not send.
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL('./onnxruntime/ort-wasm-simd-threaded.wasm', import.meta.url).href };
// What goes wrong is said on the page.
ort.env.logLevel = 'fatal';

let session = null;

async function load({ content }) {
  await session?.release();
  session = null;
  session = await sessionOf(new Uint8Array(content));
}

/** A session; ONNX Runtime's own rewriting of graphs fails on some, which it then runs as they are. */
async function sessionOf(network) {
  const options = { executionProviders: ['wasm'], logSeverityLevel: 4 };
  try {
    return await ort.InferenceSession.create(network, options);
  } catch {
    return ort.InferenceSession.create(network, { ...options, graphOptimizationLevel: 'disabled' });
  }
}

async function predict({ picture, model }) {
  const input = prepared(picture, model);
  const tensor = new ort.Tensor('float32', input.values, input.dims);
  const outputs = await session.run({ [session.inputNames[0]]: tensor });
  return predictionOf(outputs, model, { width: picture.width, height: picture.height }, input);
}

const ORDERS = { load, predict };

// Orders that arrive while an earlier one is under way wait for it: a session runs one at a time.
let earlier = Promise.resolve();

self.onmessage = ({ data: { id, order, given } }) => {
  earlier = earlier
    .then(() => ORDERS[order](given))
    .then(
      (answer) => self.postMessage({ id, answer }),
      (error) => self.postMessage({ id, error: String(error?.message ?? error) }),
    );
};
