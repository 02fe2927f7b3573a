"""Configs of ablations and baselines have the parameters and multiply-adds that the docs state.

Modules: `configs/ablations`, `configs/baselines`.
"""

import re

import pytest

from tools.get_flops import count_by_part, count_parameters

from ...configs.models import get_model, read
from ...conftest import ROOT
from .variants import ALL

ABLATIONS, BASELINES = (
    sorted(f'{folder}/{path.stem}' for path in (ROOT / 'configs' / folder).glob('*.py'))
    for folder in ('ablations', 'baselines')
)
PAGE = (ROOT / 'docs' / 'ablations.md').read_text()
CELLS = re.findall(
    r'\[`(\w+)`\]\(\.\./configs/((?:\w+/)?\w+)\.py\) \| (.*) \| ([\d.]+) \| ([\d.]*) \|$',
    PAGE,
    re.MULTILINE,
)
# What docs/ablations.md says of each config: millions of parameters, billions of multiply-adds,
# score.
FIGURES = {path: (float(parameters), macs, score) for _, path, score, parameters, macs in CELLS}
# Height and width of the images of each task.
SIZES = {
    'mask_rcnn': (800, 1280),
    'cascade': (800, 1280),
    'upernet': (512, 2048),
    'in1k': (224, 224),
    'cifar10': (32, 32),
}


def test_every_ablation_has_a_config_or_option_and_the_docs_name_it():
    used = {read(name).model.backbone.type.removeprefix('mmgcvit.') for name in ABLATIONS}
    assert used.union(re.findall(r'^\| `mmgcvit\.(\w+)`', PAGE, re.MULTILINE)) == {*ALL, 'LSA'}
    assert {*ABLATIONS, *BASELINES} <= set(FIGURES)
    assert all(path.rsplit('/', 1)[-1] == name for name, path, *_ in CELLS)


@pytest.mark.long
def test_the_docs_count_parameters_and_multiply_adds():
    """Transformer detectors are left out, since they need real tensors; the model zoo has their
    figures.
    """
    counted = {}
    for name, (_, _, score) in FIGURES.items():
        model = get_model(name)
        macs = ''
        for task, size in SIZES.items():
            if task in name:
                macs = f'{sum(part.macs for part in count_by_part(model, size)) / 1e9:.1f}'
        counted[name] = round(count_parameters(model) / 1e6, 2), macs, score
    assert counted == FIGURES
