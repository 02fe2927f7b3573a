"""The model zoo: one entry for each config, its numbers counted again, and the page made of it up to date."""

import re
import subprocess
import sys

import modelindex
import pytest
import torch
import yaml
from mmengine.registry import MODELS

from mmgcvit.cli.complexity import count_macs, model_parts

from ..conftest import ROOT
from .models import head_of, on_meta, parameters_of, read

CONTENTS = [
    yaml.safe_load((ROOT / path).read_text())
    for path in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
]
ENTRIES = {model['Name']: model for content in CONTENTS for model in content['Models']}
COLLECTIONS = {collection['Name']: collection for content in CONTENTS for collection in content['Collections']}
TEMPLATES = {'custom_coco', 'custom_coco_boxonly'}
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
    subprocess.run([sys.executable, 'tools/model_zoo.py', '--check'], cwd=ROOT, check=True)


def test_a_page_out_of_date_is_refused(tmp_path):
    code = (
        'import sys, pathlib, runpy; sys.argv = ["model_zoo.py", "--check"]; '
        f'tool = runpy.run_path({str(ROOT / "tools" / "model_zoo.py")!r}); '
        'main = tool["main"]; main.__globals__["PAGE"] = tool["ROOT"] / "README.md"; main()'
    )
    run = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode != 0
    assert "run 'python tools/model_zoo.py'" in run.stderr


@pytest.mark.parametrize('name', ENTRIES)
def test_parameters_are_counted(name):
    assert parameters_of(on_meta(read(name))) == ENTRIES[name]['Metadata']['Parameters']


# Detectors by queries run for real; they differ in backbone and neck only, so that one of them serves for all.
COUNTED = [name for name in ENTRIES if not name.startswith('dino') or name == 'dino_gcvit_t_12e']


@pytest.mark.slow
@pytest.mark.parametrize('name', COUNTED)
def test_multiply_adds_are_counted(name):
    cfg = read(name)
    model = on_meta(cfg)
    if name.startswith('dino'):
        model = MODELS.build(read(name).model)
    metadata = ENTRIES[name]['Metadata']
    size = tuple(map(int, metadata['FLOPs Input Size'].split('x')))
    counted = sum(part.macs for part in model_parts(model, size))
    assert counted == pytest.approx(metadata['FLOPs'], rel=1e-3)


def test_detectors_by_queries_differ_by_their_backbone_and_neck():
    """What follows is the same and needs as many multiply-adds in all of them."""

    def following(name):
        model = on_meta(read(name)).eval()
        image = torch.empty(1, 3, 800, 1280, device='meta')
        return ENTRIES[name]['Metadata']['FLOPs'] - count_macs(lambda: model.neck(model.backbone(image)))

    names = [name for name in ENTRIES if name.startswith('dino')]
    assert len(names) == 6
    assert len({following(name) for name in names}) == 1
