"""The model zoo: one entry for each config, its numbers counted again, and the page made of it up to date."""

import json
import re
import runpy
import sys
from itertools import combinations

import model_zoo_plots
import modelindex
import pytest
import torch
import yaml

from mmgcvit.experiments.complexity import count_macs, model_parts

from ..conftest import ROOT
from ..programs import run
from ..tools.commands import call
from .models import head_of, on_meta, parameters_of, read

CONTENTS = [
    yaml.safe_load((ROOT / path).read_text())
    for path in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
]
ENTRIES = {model['Name']: model for content in CONTENTS for model in content['Models']}
COLLECTIONS = {collection['Name']: collection for content in CONTENTS for collection in content['Collections']}
TEMPLATES = {'custom_coco', 'custom_coco_boxonly', 'custom_coco_small', 'custom_seg', 'custom_cls'}
# How a head calls a metric.
IN_HEADS = {'box AP': 'box AP', 'mask AP': 'mask AP', 'mIoU': 'mIoU', 'Top 1 Accuracy': 'top-1'}


def test_the_index_is_what_mim_reads():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert {model.name for model in index.models} == set(ENTRIES)


def test_every_config_has_an_entry_and_every_entry_a_config():
    assert {path.stem for path in (ROOT / 'configs').glob('*.py')} - TEMPLATES == set(ENTRIES)
    for name, entry in ENTRIES.items():
        assert entry['Config'] == f'configs/{name}.py'


@pytest.mark.parametrize('name', ENTRIES)
def test_a_head_expects_the_scores_of_the_metafile(name):
    metrics = {key: value for result in ENTRIES[name]['Results'] for key, value in result['Metrics'].items()}
    expected = {IN_HEADS[key]: value for key, value in metrics.items() if key in IN_HEADS}
    found = re.findall(rf'\b({"|".join(IN_HEADS.values())}) (\d+\.\d+)', head_of(name))
    assert {key: float(value) for key, value in found} == expected


@pytest.mark.parametrize('name', ENTRIES)
def test_a_head_states_hours_only_as_its_collection_does(name):
    found = re.search(r'^Hours:    (\d+) on (\d+ A\d+)', head_of(name), re.MULTILINE)
    resources = COLLECTIONS[ENTRIES[name]['In Collection']]['Metadata']['Training Resources']
    if found:
        assert resources.startswith(f'{found[2]}, {found[1]} hours')


def test_only_scores_of_models_that_have_the_plain_ap_come_with_its_two_thresholds():
    for name, entry in ENTRIES.items():
        for result in entry['Results']:
            for kind in ('box AP', 'mask AP'):
                value = result['Metrics'].get(kind)
                if value is not None and not name.startswith('dino'):  # for which the paper has no others
                    assert result['Metrics'][f'{kind}75'] < result['Metrics'][f'{kind}50']
                    assert value < result['Metrics'][f'{kind}50']


def test_weights_that_a_config_does_not_load_by_itself_are_what_it_is_converted_from():
    """mim downloads ``Weights`` to be used with the config as they are; mmpretrain names the authors' files so."""
    released = (ROOT / 'docs' / 'checkpoints.md').read_text()
    for entry in ENTRIES.values():
        assert 'Weights' not in entry
        if source := entry.get('Converted From'):
            assert set(source) == {'Weights', 'Code', 'License'}
            assert f'`{source["Weights"].rpartition("/")[2]}`' in released


def test_the_two_releases_of_weights_are_told_apart():
    """Their scores differ, and the documentation names whose is which."""
    older = {name: entry for name, entry in ENTRIES.items() if 'First Release' in entry}
    assert len(older) == 5
    for entry in older.values():
        assert entry['First Release']['Weights'].startswith('timm://gcvit_')
        assert entry['First Release']['Top 1 Accuracy'] < entry['Results'][0]['Metrics']['Top 1 Accuracy']
    for page in ('checkpoints.md', 'model_zoo.md'):
        assert '21 May 2023' in (ROOT / 'docs' / page).read_text()


def test_the_page_says_what_the_files_say():
    """In a process of its own."""
    assert run([sys.executable, 'tools/model_zoo.py', '--check']).returncode == 0


def test_a_page_out_of_date_is_refused(monkeypatch):
    tool = runpy.run_path('tools/model_zoo.py')
    monkeypatch.setattr('sys.argv', ['model_zoo.py', '--check'])
    monkeypatch.setitem(tool['main'].__globals__, 'PAGE', ROOT / 'README.md')
    with pytest.raises(SystemExit, match=r"run 'python tools/model_zoo\.py'"):
        tool['main']()


@pytest.mark.parametrize('drawn', [False, True])
def test_a_picture_that_is_missing_or_of_other_points_is_refused(drawn, monkeypatch, tmp_path):
    tool = runpy.run_path('tools/model_zoo.py')
    if drawn:
        model_zoo_plots.save(charts_in(PICTURES[1]), tmp_path / FIRST)
    pictures = {tmp_path / FIRST: charts_in(FIRST)}
    monkeypatch.setitem(tool['check'].__globals__, 'pictures', lambda: pictures)
    with pytest.raises(SystemExit, match=rf'{FIRST} is out of date.*model_zoo\.py --draw'):
        tool['check'](PAGE.read_text())


def charts_in(picture):
    """The charts that a committed picture holds."""
    charts = json.loads(model_zoo_plots.text_in(ROOT / 'docs' / 'images' / picture))
    for chart in charts:
        points = {name: [model_zoo_plots.Point(**p) for p in family] for name, family in chart['families'].items()}
        chart['families'] = points
    return [model_zoo_plots.Chart(**chart) for chart in charts]


PAGE = ROOT / 'docs' / 'model_zoo.md'
FIRST, *_ = PICTURES = list(model_zoo_plots.PICTURES)
RIVALS = yaml.safe_load((ROOT / 'configs' / 'metafiles' / 'rivals.yml').read_text())
# Chart by chart: how the configs of our points are called, and the column of the page with their score.
OURS = [('gcvit_{}_in1k', 5), ('cascade_gcvit_{}', 5), ('mask_rcnn_gcvit_{}', 5)]


def page_row(name):
    (line,) = (
        line for line in PAGE.read_text().splitlines() if line.startswith(f'| [`{name}`]') and '`timm' not in line
    )
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_our_points_in_the_pictures_are_those_of_the_metafiles_and_of_the_page():
    charts = [chart for picture in PICTURES for chart in charts_in(picture)]
    assert [len(chart.families['GC ViT']) for chart in charts] == [8, 3, 1]
    for chart, (config, column) in zip(charts, OURS, strict=True):
        for point in chart.families['GC ViT']:
            name = config.format(point.name.lower())
            metadata, row = ENTRIES[name]['Metadata'], page_row(name)
            assert point.parameters == round(metadata['Parameters'] / 1e6, 2) == float(row[1])
            assert point.macs == round(metadata['FLOPs'] / 1e9, 1) == float(row[2])
            assert point.score == float(row[column]) == next(iter(ENTRIES[name]['Results'][0]['Metrics'].values()))


def test_rivals_in_the_pictures_are_those_of_the_file_each_with_a_source():
    drawn = {
        (name, *vars(point).values())
        for picture in PICTURES
        for chart in charts_in(picture)
        for name, points in chart.families.items()
        for point in points
        if name != 'GC ViT'
    }
    groups = RIVALS['Rivals']
    assert drawn == {(group['Family'], *model.values()) for group in groups for model in group['Models']}
    assert all(entry['Source']['URL'].startswith('https://') for entry in [*groups, *RIVALS['Highest']])


@pytest.mark.parametrize(('task', 'head'), [('Cascade Mask R-CNN, COCO', 'cascade'), ('Mask R-CNN, COCO', 'mask_rcnn')])
def test_rivals_that_have_a_config_have_its_published_score_and_its_size(task, head):
    """That of docs/ablations.md; published parameters and multiply-adds are rounded."""
    lines = (ROOT / 'docs' / 'ablations.md').read_text()
    for group in RIVALS['Rivals']:
        if (group['Task'], group['Family']) in ((task, 'Swin'), (task, 'ConvNeXt')):
            for model in group['Models']:
                name = f'{head}_{group["Family"].lower()}_{model["Name"].lower()}'
                row = re.search(rf'\[`{name}`\]\(.*\) \| ([\d.]+) \| ([\d.]+) \| ([\d.]*)', lines)
                assert model['Parameters'] == pytest.approx(float(row[1]), abs=0.6)
                assert model['FLOPs'] == pytest.approx(float(row[2]), abs=1.5)
                assert row[3] in ('', str(model['Score']))


@pytest.mark.parametrize('picture', PICTURES)
def test_no_label_in_a_picture_covers_another(picture):
    figure = model_zoo_plots.figure_of(charts_in(picture))
    figure.canvas.draw()
    for axes in figure.axes:
        assert len(axes.texts) >= 7
        boxes = {text: text.get_window_extent() for text in axes.texts}
        assert not [pair for pair in combinations(axes.texts, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])]


@pytest.fixture(scope='module', params=ENTRIES)
def entry(request):
    """What each entry says of its model, and the model."""
    return ENTRIES[request.param]['Metadata'], on_meta(read(request.param))


def test_parameters_are_counted(entry):
    metadata, model = entry
    assert parameters_of(model) == metadata['Parameters']


BY_QUERIES = [name for name in ENTRIES if name.startswith('dino')]


@pytest.mark.slow
@pytest.mark.parametrize('entry', [name for name in ENTRIES if name not in BY_QUERIES], indirect=True)
def test_multiply_adds_are_counted(entry):
    metadata, model = entry
    parts = model_parts(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert parts[0].name == 'backbone'
    assert sum(part.macs for part in parts) == pytest.approx(metadata['FLOPs'], rel=1e-3)


@pytest.mark.slow
def test_multiply_adds_of_a_detector_by_queries_are_counted():
    """It runs for real, which takes 1.5 GB: in another process, and one for all, which differ in backbone and neck."""
    metadata = ENTRIES[BY_QUERIES[0]]['Metadata']
    config, size = ENTRIES[BY_QUERIES[0]]['Config'], metadata['FLOPs Input Size'].split('x')
    output = call('', '-m', 'mmgcvit', 'flops', config, '--shape', *size)
    (counted,) = re.findall(r'\*\*whole model\*\* .* \*\*([\d.]+)\*\* \|$', output, re.MULTILINE)
    assert float(counted) * 1e9 == pytest.approx(metadata['FLOPs'], rel=1e-3)


# Multiply-adds in billions, of the configs as they stand: size of the image, figure.
PUBLISHED = {
    'mask_rcnn_gcvit_t': ('800x1280', 291),
    'cascade_gcvit_t': ('800x1280', 770),
    'cascade_gcvit_s': ('800x1280', 866),
    'cascade_gcvit_b': ('800x1280', 1018),
    'upernet_gcvit_s': ('512x2048', 1163),
    'upernet_gcvit_b': ('512x2048', 1348),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_multiply_adds_as_counted_are_the_published_to_one_percent(name):
    metadata, (size, published) = ENTRIES[name]['Metadata'], PUBLISHED[name]
    assert metadata['FLOPs Input Size'] == size
    assert metadata['FLOPs'] / 1e9 == pytest.approx(published, rel=0.01)


def test_detectors_by_queries_differ_by_their_backbone_and_neck():
    """What follows is the same and needs as many multiply-adds in all of them."""

    def following(name):
        model = on_meta(read(name)).eval()
        image = torch.empty(1, 3, 800, 1280, device='meta')
        return ENTRIES[name]['Metadata']['FLOPs'] - count_macs(lambda: model.neck(model.backbone(image)))

    assert len(BY_QUERIES) == 6
    assert len({following(name) for name in BY_QUERIES}) == 1
