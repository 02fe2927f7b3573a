"""docs/ablations.md names every config, and its numbers are counted on the models that the configs build."""

import re

import pytest

from mmgcvit.experiments.complexity import model_parts

from ...configs.models import on_meta, parameters_of, read
from ...conftest import ROOT

DOCS = ROOT / 'docs' / 'ablations.md'
CELLS = re.findall(
    r'\[`(\w+)`\]\(\.\./configs/((?:\w+/)?\w+)\.py\) \| ([\d.]+) \| ([\d.]*) \| (.*) \|$',
    DOCS.read_text(),
    re.MULTILINE,
)
ROWS = {path: (float(parameters), macs, score) for _, path, parameters, macs, score in CELLS}
# Height and width of the images of each task.
SIZES = {'mask_rcnn': (800, 1280), 'cascade': (800, 1280), 'upernet': (512, 2048)}
DENSE = [path for path in ROWS if any(path.split('/')[-1].startswith(task) for task in SIZES)]
CLASSIFIERS = {path: 224 if 'in1k' in path else 32 for path in ROWS if 'in1k' in path or 'cifar10' in path}


def test_every_config_is_named_and_every_link_leads_to_its_name():
    names = {
        f'{folder}/{path.stem}'
        for folder in ('ablations', 'baselines')
        for path in (ROOT / 'configs' / folder).glob('*.py')
    }
    assert names <= set(ROWS)
    assert all(path.rsplit('/', 1)[-1] == name for name, path, *_ in CELLS)


def test_every_link_leads_to_a_file():
    links = re.findall(r'\]\(([^h)#][^)]*)\)', DOCS.read_text())
    assert len(links) > 70
    assert [link for link in links if not (DOCS.parent / link).exists()] == []


@pytest.mark.parametrize('path', CLASSIFIERS)
def test_numbers_of_a_classifier(path):
    model = on_meta(read(path)).eval()
    assert ROWS[path][0] == round(parameters_of(model) / 1e6, 2)
    macs = sum(part.macs for part in model_parts(model, (CLASSIFIERS[path],) * 2))
    assert ROWS[path][1] == f'{macs / 1e9:.1f}'


@pytest.mark.parametrize('path', [path for path in ROWS if path not in CLASSIFIERS])
def test_parameters_of_a_dense_model(path):
    assert ROWS[path][0] == round(parameters_of(on_meta(read(path))) / 1e6, 2)


@pytest.mark.slow
@pytest.mark.parametrize('path', DENSE)
def test_multiply_adds_of_a_dense_model(path):
    size = next(size for task, size in SIZES.items() if path.split('/')[-1].startswith(task))
    macs = sum(part.macs for part in model_parts(on_meta(read(path)), size))
    assert ROWS[path][1] == f'{macs / 1e9:.1f}'


def test_only_the_transformer_of_a_detector_by_queries_is_not_counted():
    """Which computes for real, and whose figures for GC ViT are in the model zoo."""
    assert [path for path in ROWS if path not in (*CLASSIFIERS, *DENSE)] == ['baselines/dino_swin_l']
    assert ROWS['baselines/dino_swin_l'][1] == ''


@pytest.mark.parametrize('path', [path for path in ROWS if path.startswith('ablations/')])
def test_scores_are_those_of_the_configs_head(path):
    """And where one has none, the other has none."""
    expected = (ROOT / 'configs' / f'{path}.py').read_text().split('Expected:')[1].split('Not run')[0]
    figures = re.findall(r'\b\d\d\.\d+', expected)
    score = ROWS[path][2]
    assert re.findall(r'\d\d\.\d+', score) == figures
