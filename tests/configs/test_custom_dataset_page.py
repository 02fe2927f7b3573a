"""docs/custom_dataset.md: its commands are in order, its options take effect, and what it quotes is so."""

import shlex
import sys

from mmengine.config import Config

from mmgcvit.commands import train
from mmgcvit.commands.options import parse
from mmgcvit.config import overrides, read_config

from ..conftest import ROOT
from ..docs.pages import texts_of

PAGE = (ROOT / 'docs' / 'custom_dataset.md').read_text()
COMMANDS = [line for text in texts_of('docs/custom_dataset.md', 'bash') for line in text.splitlines()]
TRAINED = [shlex.split(line)[2:] for line in COMMANDS if line.startswith('python tools/train.py')]


def test_the_page_names_the_commands_in_their_order():
    order = [
        PAGE.index(f'{command} configs/my_model.py')
        for command in ('mmgcvit check-data', 'mmgcvit dry-run', 'python tools/test.py')
    ]
    assert order == sorted(order)
    assert ['configs/my_model.py'] in TRAINED


def test_the_options_of_the_page_take_effect(monkeypatch):
    (arguments,) = [words for words in TRAINED if '--cfg-options' in words]
    arguments[0] = 'configs/custom_coco.py'
    monkeypatch.setattr(sys, 'argv', ['train', *arguments])
    args = parse(train)
    cfg = read_config(args.config, overrides(args.cfg_options))
    assert (cfg.train_cfg.max_epochs, cfg.test_pipeline[2].scale, cfg.num_classes) == (24, (1066, 640), 2)


def test_the_quoted_lines_are_the_templates():
    assert texts_of('docs/custom_dataset.md', 'python')[0] in (ROOT / 'configs' / 'custom_coco.py').read_text()


def test_a_config_of_a_host_or_of_this_project_is_inherited_by_name(tmp_path):
    """Anywhere, also with options that have the file read again."""
    config = tmp_path / 'config.py'
    for base in (
        "'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'",
        "__import__('mmgcvit').config_path('mask_rcnn_gcvit_t.py')",
    ):
        assert base in PAGE
        config.write_text(f'_base_ = {base}\nrate = 0.1\noptim_wrapper = dict(optimizer=dict(lr=rate))')
        assert Config.fromfile(config).model.type == 'MaskRCNN'
        assert read_config(config, {'rate': 0.2}).optim_wrapper.optimizer.lr == 0.2


def test_dino_takes_the_place_of_faster_rcnn_as_the_page_says(tmp_path):
    """Two changes of the template: what it inherits from, and where the number of classes stands."""
    text = (ROOT / 'configs' / 'custom_coco_boxonly.py').read_text()
    roi_head = 'roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_roi_extractor=None, mask_head=None),'
    changes = {
        "_base_ = 'faster_rcnn_gcvit_t_boxonly.py'": f"_base_ = '{ROOT}/configs/dino_gcvit_t_12e.py'",
        roi_head: 'bbox_head=dict(num_classes=num_classes),',
    }
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    (tmp_path / 'config.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'config.py')
    assert (cfg.model.type, cfg.model.bbox_head.num_classes) == ('mmgcvit.DINO', 2)
    assert 'roi_head' not in cfg.model
