"""docs/data.md: the files that it names are those that configs read, and its submission has COCO's format."""

import json
import re
import shlex

import pytest

from mmgcvit.config import read_config
from mmgcvit.datasets.checks.presence import local_paths
from mmgcvit.datasets.checks.sources import leaf_datasets

from .. import fork_server
from ..conftest import ROOT
from ..tools.commands import environment_for, output_of
from .pages import texts_of

PAGE = (ROOT / 'docs' / 'data.md').read_text()
COMMANDS = [
    line for text in texts_of('docs/data.md', 'bash') for line in text.replace('\\\n', ' ').splitlines() if line
]


@pytest.mark.parametrize(
    'config',
    [
        'mask_rcnn_gcvit_t',
        'dino_gcvit_t_12e',
        'other_heads/mask2former_gcvit_t_panoptic',
        'upernet_gcvit_t',
        'gcvit_t_in1k',
        '_base_/datasets/imagenet_v2',
    ],
)
def test_the_page_names_what_a_config_reads(config):
    cfg = read_config(ROOT / 'configs' / f'{config}.py', {})
    loaders = [cfg[name] for name in ('train_dataloader', 'val_dataloader', 'test_dataloader') if name in cfg]
    read = {str(path) for loader in loaders for leaf in leaf_datasets(loader.dataset) for path in local_paths(leaf)}
    assert read
    assert read <= {*re.findall(r'`(data/[^`]+)`', PAGE)}


def test_the_configs_of_the_page_are_there():
    named = re.findall(r'mmgcvit check-data (\S+)', PAGE)
    assert len(named) == 4
    assert all((ROOT / name).is_file() for name in named)


@pytest.mark.slow
def test_a_submission_has_the_format_of_cocos_results(digits, tmp_path):
    """The options of the page with the demo's detector, on digits laid out as COCO's test images."""
    (line,) = [line for line in COMMANDS if line.startswith('tools/dist_test.sh')]
    options = shlex.split(line)[shlex.split(line).index('--cfg-options') :]
    coco, data = digits / 'coco', tmp_path / 'data' / 'coco'
    (data / 'annotations').mkdir(parents=True)
    (data / 'test2017').symlink_to(coco / 'val2017')
    content = json.loads((coco / 'annotations' / 'instances_val2017.json').read_text())
    content.pop('annotations')
    (data / 'annotations' / 'image_info_test-dev2017.json').write_text(json.dumps(content))
    command = ['test', str(ROOT / 'configs/demo/mask_rcnn_gcvit_digits.py'), *options]
    ended = fork_server.run(
        *('-m', 'mmgcvit', *command, 'test_dataloader.dataset.data_root=data/coco/', '--device', 'cpu'),
        environment=environment_for(''),
        folder=tmp_path,
    )
    output_of(ended, fails=False)
    ids = {image['id'] for image in content['images']}
    for kind, key in (('bbox', 'bbox'), ('segm', 'segmentation')):
        results = json.loads((tmp_path / 'work_dirs' / 'test-dev' / f'cascade_gcvit_b.{kind}.json').read_text())
        assert results
        assert all(each.keys() >= {'image_id', 'category_id', 'score', key} for each in results)
        assert {each['image_id'] for each in results} <= ids
