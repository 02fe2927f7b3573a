"""The model zoo: one entry for each config, and the page and pictures made of them up to date."""

import re
from itertools import combinations

import modelindex
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ..conftest import ROOT
from ..docs import model_zoo
from ..docs import model_zoo_plots as plots
from ..docs.model_zoo import PAGE, RIVALS
from .models import ENTRIES, head_of

TEMPLATES = {'custom_coco', 'custom_coco_boxonly', 'custom_coco_small', 'custom_seg', 'custom_cls'}
# How a head calls a metric.
IN_HEADS = {'box AP': 'box AP', 'mask AP': 'mask AP', 'mIoU': 'mIoU', 'Top 1 Accuracy': 'top-1'}


def test_the_index_is_what_mim_reads_and_every_config_has_an_entry_and_every_entry_a_config():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert sorted(model.name for model in index.models) == sorted(entry['Name'] for entry in ENTRIES.values())
    configs = {path.stem for path in (ROOT / 'configs').glob('*.py')} - TEMPLATES
    others = {
        f'{folder}/{path.stem}'
        for folder in ('other_heads', 'other_tasks')
        for path in (ROOT / 'configs' / folder).glob('*.py')
        if not path.stem.endswith('_digits')
    }
    assert configs | others == set(ENTRIES)
    for name, entry in ENTRIES.items():
        assert entry['Config'] == f'configs/{name}.py'
        assert entry['Name'] == name.rpartition('/')[2]


def test_a_head_expects_the_scores_of_the_metafile():
    for name, entry in ENTRIES.items():
        metrics = {key: value for result in entry['Results'] for key, value in result['Metrics'].items()}
        expected = {IN_HEADS[key]: value for key, value in metrics.items() if key in IN_HEADS}
        found = re.findall(rf'\b({"|".join(IN_HEADS.values())}) (\d+\.\d+)', head_of(name))
        assert {key: float(value) for key, value in found} == expected, name
        for result in entry['Results']:
            for kind in ('box AP', 'mask AP'):
                value = result['Metrics'].get(kind)
                if value is not None and not name.startswith('dino'):  # for which the paper has no others
                    assert result['Metrics'][f'{kind}75'] < result['Metrics'][f'{kind}50'], name
                    assert value < result['Metrics'][f'{kind}50'], name


def test_weights_are_named_by_what_they_are_converted_from_and_the_two_releases_are_told_apart():
    """mim downloads ``Weights`` to be used with the config as they are; mmpretrain names the authors' files so."""
    released = (ROOT / 'docs' / 'checkpoints.md').read_text()
    for entry in ENTRIES.values():
        assert 'Weights' not in entry
        if source := entry.get('Converted From'):
            assert set(source) == {'Weights', 'Code', 'License'}
            assert f'`{source["Weights"].rpartition("/")[2]}`' in released
    older = [entry for entry in ENTRIES.values() if 'First Release' in entry]
    assert len(older) == 5
    for entry in older:
        assert entry['First Release']['Weights'].startswith('timm://gcvit_')
        assert entry['First Release']['Top 1 Accuracy'] < entry['Results'][0]['Metrics']['Top 1 Accuracy']
    for page in ('checkpoints.md', 'model_zoo.md'):
        assert '21 May 2023' in (ROOT / 'docs' / page).read_text()


# Multiply-adds in billions, of the configs as they stand: size of the image, figure.
PUBLISHED = {
    'mask_rcnn_gcvit_t': ('800x1280', 291),
    'cascade_gcvit_t': ('800x1280', 770),
    'cascade_gcvit_s': ('800x1280', 866),
    'cascade_gcvit_b': ('800x1280', 1018),
    'upernet_gcvit_s': ('512x2048', 1163),
    'upernet_gcvit_b': ('512x2048', 1348),
}


def test_multiply_adds_as_counted_are_the_published_to_one_percent():
    for name, (size, published) in PUBLISHED.items():
        metadata = ENTRIES[name]['Metadata']
        assert metadata['FLOPs Input Size'] == size
        assert metadata['FLOPs'] / 1e9 == pytest.approx(published, rel=0.01), name


def test_the_page_and_its_pictures_say_what_the_files_say(tmp_path):
    assert PAGE.read_text() == model_zoo.render(), 'python -m tests.docs.model_zoo'
    for path, charts in model_zoo.pictures().items():
        assert plots.text_in(path) == plots.text_of(charts), 'python -m tests.docs.model_zoo --draw'
    plots.save(charts, tmp_path / 'drawn.png')
    assert plots.text_in(tmp_path / 'drawn.png') == plots.text_of(charts)


def test_rivals_that_have_a_config_have_its_published_score_and_its_size():
    """That of docs/ablations.md; published parameters and multiply-adds are rounded."""
    lines = (ROOT / 'docs' / 'ablations.md').read_text()
    heads = {'Cascade Mask R-CNN, COCO': 'cascade', 'Mask R-CNN, COCO': 'mask_rcnn'}
    for group in RIVALS['Rivals']:
        if group['Task'] in heads and group['Family'] in ('Swin', 'ConvNeXt'):
            for model in group['Models']:
                name = f'{heads[group["Task"]]}_{group["Family"].lower()}_{model["Name"].lower()}'
                row = re.search(rf'\[`{name}`\]\(.*\) \| ([\d.]+) \| ([\d.]+) \| ([\d.]*)', lines)
                assert model['Parameters'] == pytest.approx(float(row[1]), abs=0.6)
                assert model['FLOPs'] == pytest.approx(float(row[2]), abs=1.5)
                assert row[3] in ('', str(model['Score']))


def test_no_label_in_a_picture_covers_another():
    for charts in model_zoo.pictures().values():
        figure = plots.figure_of(charts)
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            assert len(axes.texts) >= 7
            boxes = {text: text.get_window_extent() for text in axes.texts}
            assert not [pair for pair in combinations(axes.texts, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])]
