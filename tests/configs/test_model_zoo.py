"""The model zoo has one entry for each config, and its page and figure are up to date.

Modules: `configs/metafiles`, `docs/drawings/model_zoo.py`.
"""

import re

import modelindex
import pytest

from docs.drawings import model_zoo
from mmgcvit.own.training.plan import WEIGHTS

from ..conftest import ROOT
from .models import ENTRIES, read_docstring
from .templates import TEMPLATES

NAMES = model_zoo.SHORT_NAMES  # of metrics
# Published multiply-adds (G) at the image size of the metafiles.
PUBLISHED = {
    'mask_rcnn_gcvit_t': 291,
    'cascade_gcvit_t': 770,
    'cascade_gcvit_s': 866,
    'cascade_gcvit_b': 1018,
    'upernet_gcvit_s': 1163,
    'upernet_gcvit_b': 1348,
}


def test_mim_reads_the_index_and_configs_and_entries_match():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    indexed = {model.config: model.name for model in index.models}
    assert indexed == {f'configs/{name}.py': name.rpartition('/')[2] for name in ENTRIES}
    names = set()
    for folder in ('', 'other_heads/', 'other_tasks/'):
        names.update(f'{folder}{path.stem}' for path in (ROOT / 'configs' / folder).glob('*.py'))
    assert names - TEMPLATES.keys() == ENTRIES.keys()


def test_a_head_has_the_scores_of_the_metafile():
    """It says who reached them."""
    for name, entry in ENTRIES.items():
        metrics = model_zoo.scores_of(entry).items()
        expected = {NAMES[key]: score for key, score in metrics if key in NAMES}
        metric = rf'\b({"|".join(NAMES.values())})\s(\d+\.\d+)'
        head = read_docstring(name)
        found = {key: float(value) for key, value in re.findall(metric, head)}
        assert found == expected, name
        assert not found or re.search(rf'(Paper|mmseg|detrex): {metric}', head), name


def test_the_page_of_checkpoints_lists_the_released_weights():
    """The metafiles name their sources; mim would download ``Weights`` for use with a config."""
    page = (ROOT / 'docs' / 'checkpoints.md').read_text()
    for url in WEIGHTS.values():
        assert f'`{url.rpartition("/")[2]}`' in page or 'large' in url
    for entry in ENTRIES.values():
        assert 'Weights' not in entry
        name = entry.get('Converted From', {'Weights': 'gcvit_1k_tiny.pth.tar'})['Weights']
        size = re.search(r'gcvit_(1k_(\w+)|21k_large_\d+)\.pth\.tar$', name)
        assert f'`{size[2] or size[0]}`' in page


def test_multiply_adds_are_near_the_published():
    counted = {name: ENTRIES[name]['Metadata']['FLOPs'] / 1e9 for name in PUBLISHED}
    assert counted == pytest.approx(PUBLISHED, rel=0.01)


def test_the_model_zoo_page_and_its_figure_match_the_metafiles():
    assert model_zoo.PAGE.read_text() == model_zoo.render(), 'python -m docs.drawings.model_zoo'
    assert model_zoo.read_points() == model_zoo.list_points(), 'python -m docs.drawings.model_zoo'
