"""NVIDIA TAO's DINO with GC ViT becomes mmdet's DINO with the same predictions."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from mmgcvit import load
from mmgcvit.checkpoints.dino import select_classes
from mmgcvit.checkpoints.safe_loading import read_for_mmengine

from ..reference import DATA

# Of COCO's categories, which have ids up to 90
UNUSED_IDS = [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
PREFIX = 'model.model.'


@pytest.fixture(scope='module')
def weights():
    """Draw random weights with the keys and shapes of a small model of TAO's,
    tests/data/dino_tao.txt.
    """
    lines = dict(line.split(' ', 1) for line in (DATA / 'dino_tao.txt').read_text().splitlines())
    draw = np.random.RandomState(0)
    tensors = {}
    for name, shape in sorted(lines.items()):
        shape = ast.literal_eval(shape)
        values = draw.standard_normal(shape) / (shape[-1] ** 0.5 if len(shape) > 1 else 10)
        tensors[name] = torch.from_numpy(
            values + (len(shape) == 1 and name.endswith('weight'))
        ).float()
        if 'class_embed' in name and name.endswith('bias'):
            tensors[name][UNUSED_IDS] = -20
    return tensors


def test_predictions_equal_those_of_taos_code(weights, call):
    """tests/data/dino_tao.npz has the outputs of tao_pytorch_backend 3a8a971 for these weights and
    this image.
    """
    copy = {
        f'{PREFIX}transformer.decoder.class_embed.0.bias': weights[f'{PREFIX}class_embed.0.bias']
    }
    torch.save({'state_dict': weights | copy, 'epoch': 11}, 'tao.pth')
    code, printed = call('convert', 'tao.pth', 'detector.pth')
    assert (code, 'mmgcvit predict detector.py detector.pth' in printed) == (0, True)
    image = torch.from_numpy(np.random.RandomState(1).standard_normal((1, 3, 131, 203))).float()
    sample = DetDataSample(metainfo={'img_shape': (131, 203), 'batch_input_shape': (131, 203)})
    expected = np.load(DATA / 'dino_tao.npz')
    names = read_for_mmengine('tao.pth').content['meta']['dataset_meta']['classes']
    assert (len(names), names[0], names[-1]) == (80, 'person', 'toothbrush')
    for checkpoint in ('detector.pth', 'tao.pth'):
        model = load('detector.py', checkpoint)
        assert (model.classes[0], model.classes[-1]) == ('person', 'toothbrush')
        assert model.network.data_preprocessor.pad_size_divisor == 1  # as in TAO
        # The number in mmdet's configs, for the 6 x 80 scores of 6 queries and 80 classes
        assert model.network.test_cfg.max_per_img == 300
        with torch.no_grad():
            logits, boxes = model.network(image, [sample], mode='tensor')
        torch.testing.assert_close(boxes[-1, 0].numpy(), expected['boxes'], atol=1e-4, rtol=0)
        expected_logits = np.delete(expected['logits'], UNUSED_IDS, axis=1)
        torch.testing.assert_close(logits[-1, 0].numpy(), expected_logits, atol=1e-4, rtol=1e-4)


CLASSES = [i for i in range(91) if i not in UNUSED_IDS]


@pytest.mark.parametrize(
    ('key', 'rows', 'kept'),
    [
        # A label embedding has a row more, of no class.
        ('dn_query_generator.label_embedding.weight', 92, CLASSES),
        ('dn_query_generator.label_embedding.weight', 6, [0, 1, 2, 3, 4]),
        ('bbox_head.cls_branches.6.weight', 91, CLASSES),
        ('bbox_head.cls_branches.0.bias', 5, [0, 1, 2, 3, 4]),
        ('bbox_head.reg_branches.0.4.weight', 91, [*range(91)]),
    ],
)
def test_of_91_classes_the_80_that_coco_uses_remain(key, rows, kept):
    assert select_classes(key, torch.arange(rows)).tolist() == kept


@pytest.mark.parametrize(
    ('name', 'change', 'message'),
    [
        (
            'transformer.encoder.norm.weight',
            lambda _: torch.ones(256),
            'no key for transformer.encoder.norm.weight',
        ),
        ('transformer.enc_output.bias', None, 'lacks 1 tensor (memory_trans_fc.bias) of the model'),
        ('class_embed.0.bias', lambda _: torch.tensor(0.0), 'has only a part of DINO'),
        ('label_enc.weight', lambda tensor: tensor / 0, 'NaN or infinity'),
        # 10,000,000 levels from a file of a few bytes would build as many modules.
        ('transformer.level_embed', lambda _: torch.zeros(1).expand(10**7, 256), '(level_embed '),
    ],
)
def test_other_detectors_are_rejected(name, change, message, weights, call):
    changed = dict(weights)
    tensor = changed.pop(PREFIX + name, None)
    if change:
        changed[PREFIX + name] = change(tensor)
    torch.save(changed, 'x.pth')
    code, printed = call('convert', 'x.pth', 'y.pth')
    assert (code, message in printed, [*Path().glob('y.*')]) == (1, True, []), printed


def test_a_config_beside_the_detector_is_not_replaced(weights, call):
    torch.save(weights, 'tao.pth')
    Path('mine.py').write_text('mine')
    code, printed = call('convert', 'tao.pth', 'mine.pth')
    assert (code, 'mine.py already exists' in printed) == (1, True)
    assert (Path('mine.py').read_text(), Path('mine.pth').exists()) == ('mine', False)


def test_the_backbone_of_a_detector_is_converted_alone_by_its_prefix(weights, call):
    torch.save(weights, 'tao.pth')
    prefix = f'{PREFIX}backbone.0.body.'
    code, printed = call('convert', 'tao.pth', 'backbone.pth', '--prefix', prefix)
    assert (code, Path('backbone.py').exists()) == (0, False), printed
    names = torch.load('backbone.pth')['state_dict']
    assert names
    assert all(name.startswith('backbone.') for name in names)
