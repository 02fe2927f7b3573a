"""The templates for own data: their first lines are all that has to be changed."""

import re
from itertools import product

import pytest
import torch
from mmengine.registry import DATASETS, MODELS

from mmgcvit.config import enter_scope, read_config
from mmgcvit.engine.loops import seed_generators
from mmgcvit.errors import UserError

from ..conftest import ROOT
from .models import on_meta
from .own_data import CLASSES, TEMPLATES, write_coco

MIXING = {'custom_coco': 'copy_paste', 'custom_coco_boxonly': 'mosaic'}
LENGTH = {'custom_seg': 'max_iters'}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def path_of(name):
    return str(ROOT / 'configs' / f'{name}.py')


WITH_MIXING = [(name, {}) for name in TEMPLATES] + [(name, {option: True}) for name, option in MIXING.items()]


def test_classes_and_weights_to_start_from_are_one_line_each():
    heads = {
        'custom_coco': lambda model: (model.roi_head.bbox_head.num_classes, model.roi_head.mask_head.num_classes),
        'custom_coco_boxonly': lambda model: (model.roi_head.bbox_head.num_classes,),
        'custom_coco_small': lambda model: (model.roi_head.bbox_head.num_classes,),
        'custom_seg': lambda model: (model.decode_head.num_classes, model.auxiliary_head.num_classes),
        'custom_cls': lambda model: (model.head.fc.out_features,),
    }
    for name in TEMPLATES:
        cfg = read_config(path_of(name), {'classes': tuple('abcdefg'), 'pretrained': 'a.pth'})
        assert set(re.findall(r"'num_classes': (\d+)", str(cfg.model.to_dict()))) == {'7'}, name
        assert set(heads[name](on_meta(cfg))) == {7}, name
        assert cfg.model.backbone.init_cfg.checkpoint == 'a.pth'
        # The file forgets the comma.
        cfg = read_config(path_of(name), {'classes': 'cat', 'pretrained': None})
        assert (cfg.num_classes, cfg.model.backbone.init_cfg) == (1, None), name
        if 'huggingface' in (text := (ROOT / 'configs' / f'{name}.py').read_text()):
            assert 'not for commercial use' in text


def test_one_line_says_what_of_the_backbone_is_trained():
    for name in TEMPLATES:
        trained = {}
        for fine_tune in ('all', 'lora', 'head'):
            cfg = read_config(path_of(name), {'fine_tune': fine_tune})
            with torch.device('meta'):
                backbone = MODELS.build(cfg.model.backbone)
            trained[fine_tune] = sum(weights.numel() for weights in backbone.parameters() if weights.requires_grad)
        assert 0 == trained['head'] < trained['lora'] < trained['all'] / 10, name
        with pytest.raises(UserError, match=r"fine_tune = 'lor': expected 'all', 'lora' or 'head'$"):
            read_config(path_of(name), {'fine_tune': 'lor'})


def pixels_in(value, key=''):
    """All sizes in pixels of a nested config, by the arguments that hold them."""
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
        small, large = (read_config(path_of(name), {'image_size': side, **mixing}) for side in (840, 1680))
        places = [[cfg[loader].dataset for loader in LOADERS] for cfg in (small, large)]
        for settings, cfg in zip(places, (small, large), strict=True):
            settings += [cfg.get('tta_pipeline'), cfg.model.get('data_preprocessor')]
        for before, after in zip(*places, strict=True):
            assert [2 * side for side in pixels_in(before)] == pytest.approx(list(pixels_in(after)), rel=0.01), name
        assert all(list(pixels_in(place)) for place in places[0][:3]), name


def test_the_templates_for_detection_are_trained_as_the_detectors_of_coco_by_default():
    """The sizes of their images and the steps of their rate."""
    cfg = read_config(path_of('custom_coco'))
    full = read_config(path_of('mask_rcnn_gcvit_t'))
    for pipeline in ('train_pipeline', 'test_pipeline'):
        assert sorted(pixels_in(cfg[pipeline])) == sorted(pixels_in(full[pipeline]))
        assert [step.type for step in cfg[pipeline]] == [step.type for step in full[pipeline]]
    assert cfg.param_scheduler[1].milestones == [8, 11]


def test_the_schedule_fits_a_run_of_any_length():
    for name, length in product(TEMPLATES, (1, 2, 3, 7, 100)):
        cfg = read_config(path_of(name), {LENGTH.get(name, 'max_epochs'): length})
        warm_up, falling = cfg.param_scheduler
        # A warm-up of one step would be of no rate at all: the next step's is the first that rises.
        assert warm_up.end <= max(length, 2), name
        assert falling.end == length, name
        assert 1 <= cfg.train_cfg.val_interval <= length, name
        assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval, name
        assert all(1 <= step <= length for step in falling.get('milestones', [])), name


def test_folders_are_classes_in_any_order_of_their_names():
    cfg = read_config(path_of('custom_cls'), {'classes': ('square', 'disc')})
    assert cfg.metainfo.classes == ('disc', 'square')


def drawn(cfg, place):
    """A sample of a config's training data, drawn as the loops of this project draw it."""
    seed_generators(seed=1, rank=0, iteration=3, sample=place)
    return DATASETS.build(cfg.train_dataloader.dataset)[0]


@pytest.mark.long
@pytest.mark.parametrize('name', MIXING)
def test_mixed_images_have_more_objects_and_are_drawn_by_the_seed_and_the_place_alone(name, tmp_path):
    """So that a resumed run draws what the uninterrupted one does: docs/reliability.md."""
    write_coco(tmp_path)
    lines = {'data_root': str(tmp_path), 'classes': CLASSES, 'image_size': 64}
    cfg = read_config(path_of(name), lines | {MIXING[name]: True})
    enter_scope(cfg)
    first, again, other = (drawn(cfg, place) for place in (1, 1, 2))
    assert torch.equal(first['inputs'], again['inputs'])
    assert torch.equal(boxes_of(first), boxes_of(again))
    assert first['inputs'].shape != other['inputs'].shape or not torch.equal(first['inputs'], other['inputs'])
    assert max(len(boxes_of(drawn(cfg, place))) for place in range(1, 9)) > 2


def boxes_of(sample):
    return sample['data_samples'].gt_instances.bboxes.tensor
