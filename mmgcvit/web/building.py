"""The static page: its files, ONNX Runtime for browsers, networks and sample pictures, written whole."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..export import check_onnx
from ..files import is_up_to_date, replaced_whole
from ..hosts.configs import configs_with
from ..version import __version__
from .network_files import write_network
from .page_files import CATALOGUE, page_files
from .runtime import add_runtime, runtime_version
from .samples import write_samples

FOLDER = 'models'
# By which a later call knows a folder that it may replace.
OPTIONS_FILE, OPTIONS = 'built_by_mmgcvit_web.json', {'version': __version__}


class PageModel(NamedTuple):
    """A model of the page.

    Attributes:
        config: A config file.
        checkpoint: A checkpoint of it; None for the weights that come with the config.
        title: What it does, for people.
        description: What it is.
    """

    config: Path
    checkpoint: str | None
    title: str
    description: str


def digits_models() -> list[PageModel]:
    """The models that the page has by default, those of the demo.

    Raises:
        SystemExit: The configs are not there.
    """
    configs = configs_with('demo/mask_rcnn_gcvit_digits.py') / 'demo'
    return [
        PageModel(
            configs / 'mask_rcnn_gcvit_digits.py',
            None,
            'Find digits',
            'Mask R-CNN on GC ViT: boxes and masks of the digits in a picture',
        ),
        PageModel(
            configs / 'gcvit_digits_cls.py',
            None,
            'Name one digit',
            'GC ViT: a picture that one digit fills is which one?',
        ),
        PageModel(configs / 'lsa_digits_cls.py', None, 'Name one digit, by LSA', 'The same with the other network'),
    ]


def build_page(out: Path, models: Sequence[PageModel] | None = None) -> Iterator[str]:
    """Write the page.

    Args:
        out: The folder; a page that is there is replaced.
        models: What it offers, in this order; None for those of the digits.

    Yields:
        What is done, for the screen.

    Raises:
        SystemExit: The folder holds something else, or cannot be written.
        UserError: A model's weights are missing, a package is, or npm cannot fetch the library.
        CheckpointError: A checkpoint cannot be read.
    """
    check_onnx()
    models = digits_models() if models is None else models
    is_up_to_date(out, OPTIONS_FILE, OPTIONS)
    with replaced_whole(out, OPTIONS_FILE, OPTIONS) as page:
        for name, path in page_files().items():
            shutil.copy(path, page / name)
        add_runtime(page)
        yield f'ONNX Runtime Web {runtime_version()}'
        (page / FOLDER).mkdir()
        entries = []
        for model in models:
            entries.append(add_model(page, model))
            yield f'{entries[-1]["file"]}: {entries[-1]["bytes"] / 2**20:.1f} MiB'
        catalogue = {
            'mode': 'static',
            'version': __version__,
            'onnxruntime_web': runtime_version(),
            'models': entries,
            'samples': write_samples(page),
        }
        (page / CATALOGUE).write_text(json.dumps(catalogue))
    yield f'The page: {out}. To see it: python -m http.server --bind 127.0.0.1 --directory {out}'


def add_model(page: Path, model: PageModel) -> dict[str, Any]:
    """Write a model's network into a page; returns its entry in models.json."""
    file = f'{FOLDER}/{model.config.stem}.onnx'
    described = write_network(model.config, model.checkpoint, page / file)
    content = (page / file).read_bytes()
    return {
        'name': model.config.stem,
        'title': model.title,
        'description': model.description,
        'file': file,
        'bytes': len(content),
        'sha256': hashlib.sha256(content).hexdigest(),
        **described,
    }
