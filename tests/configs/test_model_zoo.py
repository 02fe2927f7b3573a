"""The model zoo: one entry for each config, its numbers counted again, and the page made of it up to date."""

import subprocess
import sys

import modelindex
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS

from mmgcvit.cli.complexity import count_macs, model_parts

from ..conftest import ROOT
from .models import on_meta, parameters_of

CONTENTS = [
    yaml.safe_load((ROOT / path).read_text())
    for path in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
]
ENTRIES = {model['Name']: model for content in CONTENTS for model in content['Models']}
TEMPLATES = {'custom_coco', 'custom_coco_boxonly'}


def test_the_index_is_what_mim_reads():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert {model.name for model in index.models} == set(ENTRIES)


def test_every_config_has_an_entry_and_every_entry_a_config():
    assert {path.stem for path in (ROOT / 'configs').glob('*.py')} - TEMPLATES == set(ENTRIES)
    for name, entry in ENTRIES.items():
        assert entry['Config'] == f'configs/{name}.py'


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
    assert (
        parameters_of(on_meta(Config.fromfile(ROOT / 'configs' / f'{name}.py')))
        == ENTRIES[name]['Metadata']['Parameters']
    )


# Detectors by queries run for real; they differ in backbone and neck only, so that one of them serves for all.
COUNTED = [name for name in ENTRIES if not name.startswith('dino') or name == 'dino_gcvit_t_12e']


@pytest.mark.slow
@pytest.mark.parametrize('name', COUNTED)
def test_multiply_adds_are_counted(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    model = on_meta(cfg)
    if name.startswith('dino'):
        model = MODELS.build(Config.fromfile(ROOT / 'configs' / f'{name}.py').model)
    metadata = ENTRIES[name]['Metadata']
    size = tuple(map(int, metadata['FLOPs Input Size'].split('x')))
    counted = sum(part.macs for part in model_parts(model, size))
    assert counted == pytest.approx(metadata['FLOPs'], rel=1e-3)


def test_detectors_by_queries_differ_by_their_backbone_and_neck():
    """What follows is the same and needs as many multiply-adds in all of them."""

    def following(name):
        model = on_meta(Config.fromfile(ROOT / 'configs' / f'{name}.py')).eval()
        image = torch.empty(1, 3, 800, 1280, device='meta')
        return ENTRIES[name]['Metadata']['FLOPs'] - count_macs(lambda: model.neck(model.backbone(image)))

    names = [name for name in ENTRIES if name.startswith('dino')]
    assert len(names) == 6
    assert len({following(name) for name in names}) == 1
