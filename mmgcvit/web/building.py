"""The static page: its files, ONNX Runtime for browsers, networks and sample pictures, written whole.

Legend: h x w tokens of a stage's map.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..datasets.digits import SceneComposer
from ..errors import UserError
from ..export import check_onnx
from ..export.graphs import graph_of, outputs_of
from ..export.metadata import metadata_of
from ..export.writing import trace
from ..files import is_up_to_date, replaced_whole, write_image
from ..hosts.configs import configs_with
from ..inference import Predictor
from ..inference.loading import load_source, quiet_hosts
from ..inference.sources import find_source
from ..models.layers import out_of_windows
from ..version import __version__
from ..visualization.attention import window_of
from ..visualization.networks import backbone_of, inputs_of, last_detailed_stage, recorded_inputs, stride_of
from .model import attention_title
from .server import CATALOGUE, page_files

HERE = Path(__file__).parent
# By which a later call knows a folder that it may replace.
OPTIONS_FILE, OPTIONS = 'built_by_mmgcvit_web.json', {'version': __version__}
MODELS, SAMPLES = 'models', 'samples'
# Of npm: the version and digest that package-lock.json holds.
RUNTIME = 'onnxruntime-web'
# Where the page looks for it (page/worker.js); the build for processors alone, in which the modules are one file.
RUNTIME_FOLDER = 'onnxruntime'
RUNTIME_FILES = ('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm')
# The same project's licence, which npm's package does not carry.
LICENCES = ('LICENSE', 'ThirdPartyNotices.txt')
TASKS = ('classification', 'detection')
# Of a network file's metadata what the page reads; lists, numbers and what is true or false are JSON in both.
READ_AS_TEXT = ('task', 'channel_order')
READ_AS_JSON = ('classes', 'palette', 'mean', 'std', 'size_divisor', 'scale', 'keep_ratio')
# What the page does by itself; anything else of a test pipeline it does not (page/prepare.js).
DONE = {'edge': '', 'interpolation': 'bilinear', 'backend': 'cv2', 'crop': 'null'}
# Where the slider of the least score begins, as in the demo's own pictures.
SHOWN_FROM = 0.5
# The attention that is shown: of this stage at most; and what of its output's dimensions changes from call to call.
LAST_STAGE = 2
ATTENTION = {'attention': {0: 'batch', 1: 'attention_height', 2: 'attention_width'}}
# Of sample pictures: scenes of at least so many digits, of the demo's size in pixels; and digits alone.
SEED, NUM_SCENES, FEWEST_DIGITS, SCENE_SIZE, NUM_SINGLE, SINGLE_SIZE = 7, 3, 3, 256, 3, 64


class PageModel(NamedTuple):
    """A model of the page."""

    config: Path  # that weights come with
    title: str  # what it does, for people
    description: str  # what it is


def digits_models() -> list[PageModel]:
    """The models that the page has by default, those of the demo."""
    configs = configs_with('demo/mask_rcnn_gcvit_digits.py') / 'demo'
    detects = 'Mask R-CNN on GC ViT: boxes and masks of the digits in a picture'
    names = 'GC ViT: a picture that one digit fills is which one?'
    return [
        PageModel(configs / 'mask_rcnn_gcvit_digits.py', 'Find digits', detects),
        PageModel(configs / 'gcvit_digits_cls.py', 'Name one digit', names),
        PageModel(configs / 'lsa_digits_cls.py', 'Name one digit, by LSA', 'The same with the other network'),
    ]


def build_page(out: Path, models: Sequence[PageModel] | None = None) -> Iterator[str]:
    """Write the page into a folder, in which another page is replaced; what is done, for the screen.

    Models are offered in this order; None for those of the digits.
    """
    check_onnx()
    models = digits_models() if models is None else models
    is_up_to_date(out, OPTIONS_FILE, OPTIONS)
    with replaced_whole(out, OPTIONS_FILE, OPTIONS) as page:
        for name, path in page_files().items():
            shutil.copyfile(path, page / name)
        add_runtime(page)
        yield f'ONNX Runtime Web {runtime_version()}'
        (page / MODELS).mkdir()
        entries = []
        for model in models:
            entries.append(add_model(page, model))
            yield f'{entries[-1]["file"]}: {entries[-1]["bytes"] / 2**20:.1f} MiB'
        catalogue = {
            'mode': 'static',
            'version': __version__,
            'onnxruntime_web': runtime_version(),
            'models': entries,
            'samples': add_samples(page),
        }
        (page / CATALOGUE).write_text(json.dumps(catalogue))
    yield f'The page: {out}. To see it: python -m http.server --bind 127.0.0.1 --directory {out}'


def runtime_version() -> str:
    """The version of ONNX Runtime that the page gets."""
    return json.loads((HERE / 'package.json').read_text())['dependencies'][RUNTIME]


def add_runtime(page: Path) -> None:
    """Fetch ONNX Runtime for browsers and put it into a page."""
    npm = shutil.which('npm')
    if npm is None:
        raise UserError('npm is missing, which fetches ONNX Runtime for browsers: install Node.js, which brings it')
    target = page / RUNTIME_FOLDER
    target.mkdir()
    with TemporaryDirectory(dir=page.parent) as name:
        folder = Path(name)
        for file in ('package.json', 'package-lock.json', '.npmrc'):
            shutil.copyfile(HERE / file, folder / file)
        # Scripts of packages are programs of others, and none is needed.
        command = [npm, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if ended.returncode:
            said = [line for line in ended.stderr.splitlines() if line.strip()] or ['it says nothing']
            raise UserError(f'npm cannot fetch {RUNTIME} {runtime_version()}: {said[0].strip()}')
        for file in RUNTIME_FILES:
            shutil.copyfile(folder / 'node_modules' / RUNTIME / 'dist' / file, target / file)
    for file in LICENCES:
        shutil.copyfile(Path(find_spec('onnxruntime').origin).parent / file, target / file)


def add_model(page: Path, page_model: PageModel) -> dict[str, Any]:
    """Write a model's network into a page; its entry in models.json, with what prepares pictures and draws."""
    config = page_model.config
    source = find_source(config)
    with quiet_hosts():
        model = load_source(source, 'cpu')
    if model.task not in TASKS:
        raise UserError(f'{config}: {model.task}; the page runs detectors and classifiers in the browser')
    metadata, graph, outputs = metadata_of(model, source), graph_of(model), outputs_of(model)
    others = [f'{name} {metadata[name]}' for name, done in DONE.items() if metadata.get(name, done) != done]
    if others:
        raise UserError(f'{config}: its test pipeline has {", ".join(others)}; the page resizes bilinearly, no more')
    described = {name: metadata[name] for name in READ_AS_TEXT}
    described |= {name: json.loads(metadata[name]) for name in READ_AS_JSON}
    attn, shown = attended_block(model, torch.zeros(1, 3, *reversed(described['scale'])))
    if attn is not None:
        graph, outputs = WithAttention(graph, attn), {**outputs, **ATTENTION}
    file = f'{MODELS}/{config.stem}.onnx'
    trace(graph.eval(), outputs, metadata, page / file)
    content = (page / file).read_bytes()
    return {
        'name': config.stem,
        'title': page_model.title,
        'description': page_model.description,
        'file': file,
        'bytes': len(content),
        'sha256': hashlib.sha256(content).hexdigest(),
        **described,
        'score_thr': SHOWN_FROM,
        'attention': shown,
    }


def attended_block(model: Predictor, images: Tensor) -> tuple[nn.Module | None, dict[str, Any] | None]:
    """The attention that the page draws, and what it says of it; None where it is none between the tokens of a map.

    It is of the last block of a stage whose map tells places apart, for images as the network takes them.
    """
    backbone = backbone_of(model)
    stage = last_detailed_stage(backbone, images, LAST_STAGE)
    block = len(backbone.stages[stage].blocks) - 1
    attn = backbone.stages[stage].blocks[block].attn
    if not hasattr(attn, 'attention_weights') or not hasattr(attn, 'window'):
        return None, None
    kind = 'global' if len(inputs_of(backbone, images, [attn])[0]) > 1 else 'all'
    title = attention_title(type(backbone).__name__, stage, block, kind)
    return attn, {'stride': stride_of(backbone, stage), 'title': title}


class WithAttention(nn.Module):
    """A network whose last output is the attention that each token of a stage receives in one of its blocks.

    The network gives a tensor or a tuple of them; the keys of the block's attention are the tokens of a map.
    """

    def __init__(self, network: nn.Module, attn: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.attn = attn

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images to the network's outputs, and behind them (B, h, w), means over heads and queries.

        Over the tokens of a window they sum to 1, those of padding included.
        """
        with recorded_inputs([self.attn]) as heard:
            outputs = self.network(images)
        outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        tokens, *more = heard[0]
        size = tokens.shape[1:3]
        weights = self.attn.attention_weights(tokens, *more).mean((2, 3))
        received = out_of_windows(weights.unsqueeze(-1), window_of(self.attn, size), size).squeeze(-1)
        return *outputs, received


def add_samples(page: Path) -> list[dict[str, str]]:
    """Write pictures of digits that no model was trained on, in scenes and alone; file and title of each."""
    rich = (scene for scene in SceneComposer('val', SCENE_SIZE, SEED) if len(scene.labels) >= FEWEST_DIGITS)
    pictures = []
    for scene in islice(rich, NUM_SCENES):
        *others, last = sorted(scene.labels)
        pictures.append((f'Scene with the digits {", ".join(map(str, others))} and {last}', scene.image))
    singles = SceneComposer('val', SINGLE_SIZE, SEED)
    scans = singles.rng.choice(singles.scans, size=NUM_SINGLE, replace=False)
    pictures += [(f'The digit {singles.digits[scan]}', singles.compose_one(scan)) for scan in scans.tolist()]
    entries = [{'file': f'{SAMPLES}/{i}.png', 'title': title} for i, (title, _) in enumerate(pictures, start=1)]
    for entry, (_, image) in zip(entries, pictures, strict=True):
        write_image(page / entry['file'], image[..., ::-1])
    return entries
