"""Custom dataset templates: a user changes their first lines only."""

import re
from itertools import product

import pytest
from mmengine.config import Config

from mmgcvit.datasets.template import ConfigPath, fill_template

from ..conftest import ROOT
from ..docs.pages import read_blocks
from .models import build_on_meta, read
from .templates import TEMPLATES, read_template

# Other values of the first lines of custom_coco.py.
VARIANTS = [
    {'masks': False, 'mosaic': True},
    {'random_crops': False, 'cosine': True},
    {'copy_paste': True},
]
VARIANTS += [{'masks': False, 'tiles': 96}, {'augment': 'strong'}]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def test_classes_and_load_from_are_one_line_each():
    for name in TEMPLATES:
        cfg = read_template(name, classes=tuple('abcdefg'), pretrained='a.pth')
        assert set(re.findall(r"'num_classes': (\d+)", str(cfg.model.to_dict()))) == {'7'}, name
        assert cfg.model.backbone.init_cfg.checkpoint == 'a.pth'
        # The comma is missing from the tuple.
        cfg = read_template(name, classes='cat', pretrained=None)
        assert (cfg.num_classes, cfg.model.backbone.init_cfg) == (1, None), name
        if 'huggingface' in (text := (ROOT / 'configs' / f'{name}.py').read_text()):
            assert 'not for commercial use' in text
    assert read_template('custom_cls', classes=('square', 'disc')).metainfo.classes == (
        'disc',
        'square',
    )


def test_one_line_chooses_full_lora_or_head_only_training():
    for name in TEMPLATES:
        trained = {}
        for fine_tune in ('all', 'lora', 'head'):
            backbone = build_on_meta(read_template(name, fine_tune=fine_tune)).backbone
            trained[fine_tune] = sum(
                weights.numel() for weights in backbone.parameters() if weights.requires_grad
            )
        assert 0 == trained['head'] < trained['lora'] < trained['all'] / 10, name
        with pytest.raises(
            AssertionError, match=r"fine_tune = 'lor': expected 'all', 'lora' or 'head'$"
        ):
            read_template(name, fine_tune='lor')


def find_image_sizes(value, key=''):
    """Yield all image sizes (pixels) in a nested config, but for the least size that a segmentor
    pads to in tests.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from find_image_sizes(inner, name) if name != 'test_cfg' else ()
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from find_image_sizes(inner, key)
    elif key in ('scale', 'scales', 'crop_size', 'size', 'img_scale') and isinstance(value, int):
        yield value


def test_one_line_sets_the_image_size_everywhere():
    """Doubling it doubles the size in training, validation, test, test-time augmentation and batch
    padding.
    """
    for name, mixing in [
        *((name, {}) for name in TEMPLATES),
        *(('custom_coco', lines) for lines in VARIANTS),
    ]:
        small, large = (read_template(name, image_size=side, **mixing) for side in (840, 1680))
        places = [[cfg[loader].dataset for loader in LOADERS] for cfg in (small, large)]
        for settings, cfg in zip(places, (small, large), strict=True):
            settings += [cfg.get('tta_pipeline'), cfg.model.get('data_preprocessor')]
        for before, after in zip(*places, strict=True):
            assert [2 * side for side in find_image_sizes(before)] == pytest.approx(
                list(find_image_sizes(after)), rel=0.01
            ), name
        assert all(list(find_image_sizes(place)) for place in places[0][:3]), name
    template, recipe = read('custom_coco'), read('mask_rcnn_gcvit_t')
    assert sorted(find_image_sizes(template.train_pipeline)) == sorted(
        find_image_sizes(recipe.train_pipeline)
    )
    assert template.test_pipeline == recipe.test_pipeline
    assert template.param_scheduler[1].milestones == [8, 11]


def test_the_schedule_fits_a_run_of_any_length():
    for name, length in product(TEMPLATES, (1, 2, 3, 7, 100)):
        cfg = read_template(name, **{'max_iters' if name == 'custom_seg' else 'max_epochs': length})
        warm_up, falling = cfg.param_scheduler
        # With a warm-up of one iteration the lr would stay at zero: the first rise comes in the
        # next one.
        assert warm_up.end <= max(length, 2), name
        assert falling.end == length, name
        assert 1 <= cfg.train_cfg.val_interval <= length, name
        assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval, name
        assert all(1 <= step <= length for step in falling.get('milestones', [])), name


def test_dino_replaces_faster_rcnn_as_the_page_says():
    """Three changes suffice: the base config, no masks, and the place of num_classes."""
    path = ROOT / 'configs' / 'custom_coco.py'
    assert read_blocks('docs/custom_dataset.md', 'python')[0] in path.read_text()
    text = fill_template(path, {'_base_': ConfigPath('dino_gcvit_t_12e.py'), 'masks': False})
    text = re.sub(r"    type='MaskRCNN' .*\n", '', text)
    text = re.sub(r'roi_head=dict\((bbox_head=.*?\)), .*\),', r'\1,', text)
    model = Config.fromstring(text, '.py').model
    assert (model.type, model.bbox_head.num_classes, 'roi_head' in model) == (
        'mmgcvit.DINO',
        2,
        False,
    )
