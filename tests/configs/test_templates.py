"""Custom dataset templates: a user changes their first lines only.

Modules: `configs/custom_cls.py`, `configs/custom_coco.py`, `configs/custom_seg.py`.
"""

import re

import numpy as np
import pytest
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.host.config import LOADERS, iter_settings
from mmgcvit.own.training.template import ConfigPath, fill_template

from ..conftest import ROOT
from ..docs.pages import read_page
from .models import build_on_meta, read
from .templates import TEMPLATES, read_template

# Other values of the first lines of custom_coco.py.
VARIANTS = [{}, {'masks': False, 'mosaic': True}, {'random_crops': False, 'cosine': True}]
VARIANTS += [{'copy_paste': True}, {'masks': False, 'tiles': 96}, {'augment': 'strong'}]


@pytest.fixture(params=TEMPLATES)
def name(request):
    return request.param


def test_classes_and_load_from_are_one_line_each(name):
    cfg = read_template(name, classes=tuple('abcdefg'), pretrained='a.pth')
    assert set(re.findall(r"'num_classes': (\d+)", str(cfg.model.to_dict()))) == {'7'}
    assert cfg.model.backbone.init_cfg.checkpoint == 'a.pth'
    # The comma is missing from the tuple.
    cfg = read_template(name, classes='cat', pretrained=None)
    assert cfg.num_classes == 1
    assert cfg.model.backbone.init_cfg is None
    text = (ROOT / 'configs' / f'{name}.py').read_text()
    assert 'huggingface' not in text or 'not for commercial use' in text


def test_a_classifiers_classes_are_sorted_as_its_folders():
    cfg = read_template('custom_cls', classes=('square', 'disc'))
    assert cfg.metainfo.classes == ('disc', 'square')


def test_a_classifiers_classes_have_the_order_of_the_labels_in_its_lists():
    lists = {f'{split}_list': f'{split}.txt' for split in ('train', 'val')}
    cfg = read_template('custom_cls', classes=('square', 'disc'), **lists)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.metainfo.classes == ('square', 'disc')


def test_one_line_chooses_full_lora_or_head_only_training(name):
    counts = {}
    for fine_tune in ('all', 'lora', 'head'):
        backbone = build_on_meta(read_template(name, fine_tune=fine_tune)).backbone
        trained = [weights for weights in backbone.parameters() if weights.requires_grad]
        counts[fine_tune] = sum(weights.numel() for weights in trained)
    assert counts['head'] == 0
    assert 0 < counts['lora'] < counts['all'] / 10
    message = r"fine_tune = 'lor': expected 'all', 'lora' or 'head'$"
    with pytest.raises(UserError, match=message):
        read_template(name, fine_tune='lor')


SIZE = re.compile(r'\.(scales?|crop_size|size|img_scale)(\.\d+)?$')


def list_image_sizes(*configs):
    """List all image sizes (pixels) in nested configs, but for the least size that a segmentor pads
    to in tests.
    """
    settings = iter_settings(list(configs), '')
    sizes = [value for key, value in settings if SIZE.search(key) and 'test_cfg' not in key]
    return np.array([side for size in sizes for side in np.ravel(size)])


@pytest.mark.parametrize(
    ('name', 'lines'),
    [
        ('custom_seg', {}),
        ('custom_seg', {'tiles': 96, 'oversample_thr': 0.1}),
        ('custom_cls', {}),
        *(('custom_coco', lines) for lines in VARIANTS),
    ],
)
def test_one_line_sets_the_image_size_everywhere(name, lines):
    """Doubling it doubles the size in training, validation, test, test-time augmentation and batch
    padding.
    """
    small, large = (read_template(name, image_size=side, **lines) for side in (840, 1680))
    for key in LOADERS:
        sizes = list_image_sizes(small[key].dataset)
        assert len(sizes)
        assert 2 * sizes == pytest.approx(list_image_sizes(large[key].dataset), rel=0.01)
    before, after = (
        list_image_sizes(cfg.get('tta_pipeline'), cfg.model.get('data_preprocessor'))
        for cfg in (small, large)
    )
    assert 2 * before == pytest.approx(after, rel=0.01)


def test_a_template_has_the_pipelines_and_the_schedule_of_the_recipe():
    template = read('custom_coco')
    recipe = read('mask_rcnn_gcvit_t')
    sizes, expected = (list_image_sizes(cfg.train_pipeline) for cfg in (template, recipe))
    assert sorted(sizes) == sorted(expected)
    assert template.test_pipeline == recipe.test_pipeline
    assert template.param_scheduler[1].milestones == [8, 11]


@pytest.mark.parametrize('length', [1, 2, 3, 7, 100])
def test_the_schedule_fits_a_run_of_any_length(name, length):
    cfg = read_template(name, **{'max_iters' if name == 'custom_seg' else 'max_epochs': length})
    warm_up, falling = cfg.param_scheduler
    # With a warm-up of one iteration the lr would stay at zero: the first rise comes in the next
    # one.
    assert warm_up.end <= max(length, 2)
    assert falling.end == length
    assert 1 <= cfg.train_cfg.val_interval <= length
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval
    assert all(1 <= step <= length for step in falling.get('milestones', []))


def test_dino_replaces_faster_rcnn_as_the_page_says():
    """Three changes suffice: the base config, no masks, and the place of num_classes."""
    path = ROOT / 'configs' / 'custom_coco.py'
    text = fill_template(path, {'_base_': ConfigPath('dino_gcvit_t_12e.py'), 'masks': False})
    text = re.sub(r"    type='MaskRCNN' .*\n", '', text)
    text = re.sub(r'roi_head=dict\((bbox_head=.*?\)), .*\),', r'\1,', text)
    model = Config.fromstring(text, '.py').model
    assert model.type == 'mmgcvit.DINO'
    assert model.bbox_head.num_classes == 2
    assert 'roi_head' not in model


def test_the_page_names_settings_that_the_templates_have():
    page = read_page('docs/templates.md')
    head = re.search(r'with comments: (.*?)\.\s', page, re.DOTALL)[1]
    named = ' '.join([head, *re.findall(r'^\| (`.*?) \|', page, re.MULTILINE)])
    texts = ''.join((ROOT / 'configs' / f'{name}.py').read_text() for name in TEMPLATES)
    settings = re.findall(r'`(?!all|head|_base_|custom_)(\w+)`', named)
    assert len(settings) > 20
    assert not [name for name in settings if not re.search(rf'^{name} = ', texts, re.MULTILINE)]
