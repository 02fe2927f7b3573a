"""The templates for own data: their first lines are all that has to be changed."""

import re
from itertools import product

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS

from mmgcvit.config import enter_scope
from mmgcvit.engine.loops import seed_generators

from ..conftest import ROOT
from ..docs.pages import texts_of
from .models import on_meta, read
from .own_data import CLASSES, TEMPLATES, read_template, write_coco

MIXING = {'custom_coco': 'copy_paste', 'custom_coco_boxonly': 'mosaic'}
WITH_MIXING = [(name, {}) for name in TEMPLATES] + [(name, {option: True}) for name, option in MIXING.items()]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def test_classes_and_weights_to_start_from_are_one_line_each():
    for name in TEMPLATES:
        cfg = read_template(name, classes=tuple('abcdefg'), pretrained='a.pth')
        assert set(re.findall(r"'num_classes': (\d+)", str(cfg.model.to_dict()))) == {'7'}, name
        assert cfg.model.backbone.init_cfg.checkpoint == 'a.pth'
        # The file forgets the comma.
        cfg = read_template(name, classes='cat', pretrained=None)
        assert (cfg.num_classes, cfg.model.backbone.init_cfg) == (1, None), name
        if 'huggingface' in (text := (ROOT / 'configs' / f'{name}.py').read_text()):
            assert 'not for commercial use' in text
    assert read_template('custom_cls', classes=('square', 'disc')).metainfo.classes == ('disc', 'square')


def test_one_line_says_what_of_the_backbone_is_trained():
    for name in TEMPLATES:
        trained = {}
        for fine_tune in ('all', 'lora', 'head'):
            backbone = on_meta(read_template(name, fine_tune=fine_tune)).backbone
            trained[fine_tune] = sum(weights.numel() for weights in backbone.parameters() if weights.requires_grad)
        assert 0 == trained['head'] < trained['lora'] < trained['all'] / 10, name
        with pytest.raises(AssertionError, match=r"fine_tune = 'lor': expected 'all', 'lora' or 'head'$"):
            read_template(name, fine_tune='lor')


def pixels_in(value, key=''):
    """All sizes in pixels in a nested config."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from pixels_in(inner, name)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from pixels_in(inner, key)
    elif key in ('scale', 'scales', 'crop_size', 'size', 'img_scale') and isinstance(value, int):
        yield value


def test_one_line_sizes_the_images_everywhere():
    """Training, validation, test, test-time augmentation and what batches are padded to: twice the size in each."""
    for name, mixing in WITH_MIXING:
        small, large = (read_template(name, image_size=side, **mixing) for side in (840, 1680))
        places = [[cfg[loader].dataset for loader in LOADERS] for cfg in (small, large)]
        for settings, cfg in zip(places, (small, large), strict=True):
            settings += [cfg.get('tta_pipeline'), cfg.model.get('data_preprocessor')]
        for before, after in zip(*places, strict=True):
            assert [2 * side for side in pixels_in(before)] == pytest.approx(list(pixels_in(after)), rel=0.01), name
        assert all(list(pixels_in(place)) for place in places[0][:3]), name
    template, recipe = read('custom_coco'), read('mask_rcnn_gcvit_t')
    assert sorted(pixels_in(template.train_pipeline)) == sorted(pixels_in(recipe.train_pipeline))
    assert template.test_pipeline == recipe.test_pipeline
    assert template.param_scheduler[1].milestones == [8, 11]


def test_the_schedule_fits_a_run_of_any_length():
    for name, length in product(TEMPLATES, (1, 2, 3, 7, 100)):
        cfg = read_template(name, **{'max_iters' if name == 'custom_seg' else 'max_epochs': length})
        warm_up, falling = cfg.param_scheduler
        # A warm-up of one step would be of no rate at all: the next step's is the first that rises.
        assert warm_up.end <= max(length, 2), name
        assert falling.end == length, name
        assert 1 <= cfg.train_cfg.val_interval <= length, name
        assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval, name
        assert all(1 <= step <= length for step in falling.get('milestones', [])), name


@pytest.mark.long
@pytest.mark.parametrize('name', MIXING)
def test_mixed_images_have_more_objects_and_are_drawn_by_the_seed_and_the_place_alone(name, tmp_path):
    """So that a resumed run draws what the uninterrupted one does: docs/reliability.md."""
    write_coco(tmp_path)
    cfg = read_template(name, data_root=str(tmp_path), classes=CLASSES, image_size=64, **{MIXING[name]: True})
    enter_scope(cfg)

    def drawn(place):
        seed_generators(seed=1, rank=0, iteration=3, sample=place)
        sample = DATASETS.build(cfg.train_dataloader.dataset)[0]
        return sample['inputs'], sample['data_samples'].gt_instances.bboxes.tensor

    (first, boxes), (again, same), (other, _) = map(drawn, (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(boxes, same)
    assert first.shape != other.shape or not torch.equal(first, other)
    assert max(len(drawn(place)[1]) for place in range(1, 9)) > 2


def test_the_page_quotes_the_template_and_its_other_bases_work(tmp_path):
    """DINO takes the place of Faster R-CNN by two changes: what is inherited, and where the number of classes is."""
    page = (ROOT / 'docs' / 'custom_dataset.md').read_text()
    assert texts_of('docs/custom_dataset.md', 'python')[0] in (ROOT / 'configs' / 'custom_coco.py').read_text()
    text = (ROOT / 'configs' / 'custom_coco_boxonly.py').read_text()
    changes = {
        "'faster_rcnn_gcvit_t_boxonly.py'": "__import__('mmgcvit').config_path('dino_gcvit_t_12e.py')",
        'roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_roi_extractor=None, mask_head=None),': (
            'bbox_head=dict(num_classes=num_classes),'
        ),
    }
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    model = Config.fromstring(text, '.py').model
    assert (model.type, model.bbox_head.num_classes, 'roi_head' in model) == ('mmgcvit.DINO', 2, False)
    for base in (
        "'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'",
        "__import__('mmgcvit').config_path('mask_rcnn_gcvit_t.py')",
    ):
        assert base in page
        assert Config.fromstring(f'_base_ = {base}', '.py').model.type == 'MaskRCNN'
