// The page: which model and which picture there are, and what one of them says of the other.

import { BrowserModel } from './browser_model.js';
import { heat } from './colours.js';
import { Fault } from './fault.js';
import { fetchedFile } from './fetching.js';
import { Latest } from './latest.js';
import { decoded } from './picture.js';
import { classesList, objectsTable, segmentsTable } from './results.js';
import { ServerModel } from './server_model.js';
import { Sketch } from './sketch.js';
import { Stage, attentionLayer, boxesLayer, masksLayer, segmentsLayer } from './stage.js';

const byId = (id) => document.getElementById(id);
const OVERLAYS = ['boxes', 'masks', 'segments', 'attention'];
const MIB = 1 << 20;

const stage = new Stage(byId('stage'));
const sketch = new Sketch(byId('stage'), () => Number(byId('pen').value), { drawn: showSketch, ended: predictSketch });

let catalogue = null;
let model = null;
// Why there is no model, where one cannot be had.
let modelFault = null;
let picture = null;
let prediction = null;
const modelWork = new Latest();
const pictureWork = new Latest();
const predictionWork = new Latest();

// What is said.

function say(text, isFault = false) {
  const status = byId('status');
  status.classList.toggle('fault', isFault);
  // Screen readers announce what changes.
  if (status.textContent !== text) status.textContent = text;
}

function sayFault(error) {
  if (!(error instanceof Fault)) {
    console.error(error);
    say('Something went wrong on this page that should not: the console of the browser says what.', true);
    return;
  }
  say(error.message, true);
}

/** An event's work, whose failure is said. */
function guarded(work) {
  return async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      sayFault(error);
    }
  };
}

// Models.

async function start() {
  catalogue = await fetchedCatalogue();
  const isServed = catalogue.mode === 'server';
  byId('privacy').textContent = isServed
    ? 'The model runs in the program on the computer that serves this page; pictures are sent there and not kept.'
    : 'The model runs in this browser. Pictures stay on this device.';
  byId('origin').textContent = isServed
    ? `mmgcvit ${catalogue.version}, on ${catalogue.device}`
    : `mmgcvit ${catalogue.version}, run by ONNX Runtime Web ${catalogue.onnxruntime_web} (MIT licence)`;
  paintScale();
  listModels();
  listSamples();
  byId('choose').disabled = false;
  byId('draw').disabled = false;
  await chooseModel(catalogue.models[0]);
}

async function fetchedCatalogue() {
  const response = await fetchedFile('models.json', { cache: 'no-store' });
  try {
    return await response.json();
  } catch {
    throw new Fault('models.json is damaged: build the page again (make web).');
  }
}

function listModels() {
  for (const entry of catalogue.models) {
    const label = document.createElement('label');
    const choice = Object.assign(document.createElement('input'), { type: 'radio', name: 'model', value: entry.name });
    choice.checked = entry === catalogue.models[0];
    choice.addEventListener('change', guarded(() => chooseModel(entry)));
    const words = document.createElement('span');
    const title = Object.assign(document.createElement('strong'), { textContent: entry.title });
    const description = Object.assign(document.createElement('small'), { textContent: entry.description });
    words.append(title, description);
    label.append(choice, words);
    byId('models').append(label);
  }
}

async function chooseModel(entry) {
  const isWanted = modelWork.begin();
  model?.close();
  const Kind = catalogue.mode === 'server' ? ServerModel : BrowserModel;
  const chosen = new Kind(entry);
  model = null;
  modelFault = null;
  forget();
  byId('threshold').value = entry.score_thr ?? 0.3;
  showThreshold();
  const progress = byId('progress');
  progress.hidden = false;
  progress.value = 0;
  const size = entry.bytes ? ` (${(entry.bytes / MIB).toFixed(1)} MiB)` : '';
  say(`Loading: ${entry.title}${size}.`);
  try {
    await chosen.load((share) => {
      if (isWanted()) progress.value = share;
    });
  } catch (error) {
    if (isWanted()) {
      progress.hidden = true;
      modelFault = error;
      throw error;
    }
  }
  if (!isWanted()) {
    chosen.close();
    return;
  }
  progress.hidden = true;
  model = chosen;
  say('Ready.');
  await predict();
}

// Pictures.

function listSamples() {
  for (const sample of catalogue.samples) {
    const button = Object.assign(document.createElement('button'), { type: 'button', title: sample.title });
    const image = Object.assign(document.createElement('img'), { src: sample.file, alt: sample.title });
    image.width = 56;
    image.height = 56;
    button.append(image);
    button.addEventListener('click', guarded(() => takeSample(sample)));
    const item = document.createElement('li');
    item.append(button);
    byId('samples').append(item);
  }
}

async function takeSample({ file }) {
  const response = await fetchedFile(file);
  await takeFile(await response.blob(), file.split('/').pop());
}

async function takeFile(file, name = file.name) {
  const isWanted = pictureWork.begin();
  const taken = await decoded(file, name);
  if (!isWanted()) return;
  drawMode(false);
  picture = taken;
  showPicture(`Picture ${name}, ${taken.size.width} by ${taken.size.height} pixels`);
  await predict();
}

function showPicture(words) {
  forget();
  byId('empty').hidden = true;
  byId('stage').setAttribute('aria-label', words);
  stage.show(picture.canvas);
  // On phones the picture is below what one chooses it by.
  document.querySelector('.frame').scrollIntoView({ block: 'nearest' });
}

/** What was found is no longer true of what is shown. */
function forget() {
  predictionWork.begin();
  prediction = null;
  stage.put([]);
  showResults();
}

// Drawing.

function drawMode(active) {
  if (sketch.active === active) return;
  sketch.activate(active);
  byId('draw').setAttribute('aria-pressed', String(active));
  byId('drawing').hidden = !active;
  byId('keys').hidden = !active;
}

function startDrawing() {
  pictureWork.begin();
  drawMode(true);
  const { canvas } = sketch;
  picture = { canvas, size: { width: canvas.width, height: canvas.height }, name: 'drawing' };
  showPicture('Drawing');
  byId('stage').focus({ preventScroll: true });
  predictSketch();
}

function showSketch() {
  if (!sketch.active) return;
  forget();
  stage.show(sketch.canvas);
  stage.put([sketch.cursorLayer()]);
}

function predictSketch() {
  if (!sketch.active) return;
  if (model && sketch.empty) say('Draw a digit.');
  else guarded(predict)();
}

// Predictions.

async function predict() {
  if (modelFault) throw modelFault;
  if (!picture || (sketch.active && sketch.empty)) return;
  if (!model) return; // It asks when it has been loaded.
  const isWanted = predictionWork.begin();
  say('Predicting.');
  const asks = picture.file ? picture : { ...picture, file: await pngOf(picture.canvas) };
  const begin = performance.now();
  let found;
  try {
    found = await model.predict(asks);
  } catch (error) {
    if (isWanted()) throw error;
  }
  if (!isWanted()) return;
  prediction = found;
  showResults();
  say(`${byId('summary').textContent}, found in ${Math.round(performance.now() - begin)} ms.`);
}

function pngOf(canvas) {
  return new Promise((resolve) => { canvas.toBlob(resolve, 'image/png'); });
}

function showResults() {
  const entry = model?.entry;
  const has = {
    boxes: Boolean(prediction?.objects),
    masks: Boolean(prediction?.objects?.some(({ mask }) => mask)),
    segments: Boolean(prediction?.labelMap),
    attention: Boolean(prediction?.attention),
  };
  for (const name of OVERLAYS) document.querySelector(`[data-overlay=${name}]`).hidden = !has[name];
  byId('overlays').hidden = !Object.values(has).some(Boolean);
  byId('threshold-row').hidden = !has.boxes;
  const drawn = (name) => has[name] && byId(name).checked;
  byId('attention-legend').hidden = !drawn('attention');
  if (!prediction) {
    byId('summary').textContent = 'Nothing predicted yet';
    byId('results').replaceChildren();
    return;
  }
  const threshold = Number(byId('threshold').value);
  const objects = prediction.objects?.filter(({ score }) => score >= threshold) ?? [];
  byId('attention-title').textContent = prediction.attention?.title ?? '';
  const { summary, content } = words(objects, entry);
  byId('summary').textContent = summary;
  byId('results').replaceChildren(content);
  const layers = [];
  if (drawn('segments')) layers.push(segmentsLayer(prediction, entry.palette));
  if (drawn('attention')) layers.push(attentionLayer(prediction));
  if (drawn('masks')) layers.push(masksLayer(prediction, objects, entry.palette));
  if (drawn('boxes')) layers.push(boxesLayer(prediction, objects, entry.palette, entry.classes));
  if (sketch.active) layers.push(sketch.cursorLayer());
  stage.put(layers);
}

function words(objects, entry) {
  if (prediction.objects) return objectsTable(objects, entry, picture.size.width / prediction.size.width);
  if (prediction.labelMap) return segmentsTable(prediction.labelMap, entry);
  return classesList(prediction.scores, entry);
}

function showThreshold() {
  byId('threshold-value').value = Number(byId('threshold').value).toFixed(2);
}

function paintScale() {
  const canvas = byId('scale');
  const context = canvas.getContext('2d');
  for (let x = 0; x < canvas.width; x += 1) {
    context.fillStyle = `rgb(${heat(x / (canvas.width - 1)).join(' ')})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

// What one does.

byId('choose').addEventListener('click', () => byId('file').click());
byId('file').addEventListener('change', guarded(async () => {
  const [file] = byId('file').files;
  // So that the same file can be chosen again.
  byId('file').value = '';
  if (file) await takeFile(file);
}));
byId('draw').addEventListener('click', startDrawing);
byId('undo').addEventListener('click', () => sketch.undo());
byId('clear').addEventListener('click', () => sketch.clear());
byId('threshold').addEventListener('input', () => {
  showThreshold();
  showResults();
});
for (const name of OVERLAYS) byId(name).addEventListener('change', showResults);

const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
document.addEventListener('dragover', (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add('dropping');
});
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('dropping');
});
document.addEventListener('drop', guarded(async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove('dropping');
  const [file] = event.dataTransfer.files;
  if (!catalogue) return;
  if (file) await takeFile(file);
}));

guarded(start)();
