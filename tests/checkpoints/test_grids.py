"""Tables of windows and embedded maps that are not square are resized as the settings of their
training say: a table of windows (4, 6) has as many rows as one of windows (6, 4), in another order.

Modules: `mmgcvit/checkpoints/grids.py`, and those that read and write checkpoints.
"""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints.converting import convert, save_checkpoint
from mmgcvit.checkpoints.fitting import fit_checkpoint
from mmgcvit.checkpoints.grids import find_grids, is_position_table
from mmgcvit.checkpoints.loading import load_pretrained
from mmgcvit.checkpoints.published import describe_weights
from mmgcvit.checkpoints.safe_loading import read_for_mmengine
from mmgcvit.checkpoints.starting import select_initial
from mmgcvit.checkpoints.weights import read_weights
from mmgcvit.errors import CheckpointError

from ..models.contract.backbones import GCVIT, LSA_ARCH


def windows(size):
    return {'type': 'mmgcvit.GCViT', 'arch': GCVIT, 'window_size': [size] * 4}


def maps(size):
    return {'type': 'mmgcvit.LSA', 'arch': LSA_ARCH, 'pretrain_img_size': size}


# The settings of two networks. Tables of the first three have as many rows.
PAIRS = {
    'windows': (windows((4, 6)), windows((6, 4))),
    'embeddings': (maps((64, 128)), maps((128, 64))),
    'a square number of rows': (windows((2, 14)), windows((5, 5))),
    'a square table': (maps((64, 64)), maps((32, 128))),
    'other numbers of rows': (windows((4, 6)), windows((3, 5))),
    'other maps': (maps((64, 128)), maps((96, 160))),
}


def build(settings):
    network = {'mmgcvit.GCViT': GCViT, 'mmgcvit.LSA': LSA}[settings['type']]
    arguments = {key: value for key, value in settings.items() if key != 'type'}
    return network(**arguments)


def put_into_model(backbone):
    return nn.ModuleDict({'backbone': backbone, 'head': nn.Linear(2, 2)})


def write_run(backbone, settings, path):
    """As mmengine and this project's hooks do: in types of JSON."""
    plain = json.loads(json.dumps(settings))
    meta = {'settings': {'model': {'backbone': plain}}}
    torch.save({'state_dict': put_into_model(backbone).state_dict(), 'meta': meta}, path)
    return path


def write_published(backbone, settings, path):
    path = path.with_suffix('.safetensors')
    metadata = describe_weights(None, settings, None)
    save_checkpoint(put_into_model(backbone).state_dict(), path, metadata)
    return path


def write_without_settings(backbone, settings, path):
    torch.save(put_into_model(backbone).state_dict(), path)
    return path


def load_backbone(path, target):
    load_pretrained(target, read_weights(str(path)))


def load_model(select):
    def load(path, target):
        model = put_into_model(target)
        checkpoint = read_for_mmengine(str(path), is_resumed=False)
        select(model, checkpoint)
        model.load_state_dict(checkpoint.content['state_dict'], strict=False)

    return load


LOADS = {
    'init_cfg': load_backbone,
    'test': load_model(fit_checkpoint),
    'load_from': load_model(select_initial),
}


def resize_as_torch(table, grid, new_grid):
    """Resize (..., rows, columns) by torch's own function."""
    images = table.mT.reshape(-1, 1, *grid)
    resized = F.interpolate(images, new_grid, mode='bicubic', align_corners=False)
    return resized.reshape(*table.mT.shape[:-1], -1).mT


@pytest.mark.parametrize('pair', PAIRS)
@pytest.mark.parametrize('write', [write_run, write_published])
@pytest.mark.parametrize('way', LOADS)
def test_tables_are_resized_as_the_settings_of_their_training_say(pair, write, way, tmp_path):
    old_settings, new_settings = PAIRS[pair]
    source = build(old_settings)
    target = build(new_settings)
    LOADS[way](write(source, old_settings, tmp_path / 'x.pth'), target)
    found = target.state_dict()
    for name, tensor in source.state_dict().items():
        if is_position_table(name, tensor):
            layer = name.rpartition('.')[0]
            grids = (network.get_submodule(layer).grid for network in (source, target))
            expected = resize_as_torch(tensor, *grids)
            torch.testing.assert_close(found[name], expected, msg=name)
        else:
            assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize('way', LOADS)
@pytest.mark.parametrize('settings', [windows((4, 6)), maps((64, 128))])
def test_without_settings_tables_fit_the_same_grid_and_no_other(way, settings, tmp_path):
    source = build(settings)
    path = write_without_settings(source, settings, tmp_path / 'x.pth')
    same = build(settings)
    LOADS[way](path, same)
    for name, tensor in source.state_dict().items():
        assert torch.equal(same.state_dict()[name], tensor), name
    other = build(windows((3, 5)) if settings['type'] == 'mmgcvit.GCViT' else maps((96, 160)))
    with pytest.raises(CheckpointError, match='window_size and pretrain_img_size'):
        LOADS[way](path, other)


CRAFTED = (0, -1, 7.5, 'ab', (7,), [[7, 7]], {'a': 1}, True, [None] * 4, 10**30, float('nan'))


@pytest.mark.parametrize('value', CRAFTED)
@pytest.mark.parametrize('key', ['arch', 'window_size', 'pretrain_img_size'])
@pytest.mark.parametrize('settings', [windows((4, 6)), maps((64, 128))])
def test_crafted_settings_say_no_other_grid(key, value, settings):
    network = build(settings)
    tensors = network.state_dict()
    grids = find_grids(tensors, type(network), {**settings, key: value})
    assert all(
        grid == network.get_submodule(name.rpartition('.')[0]).grid for name, grid in grids.items()
    )


@pytest.mark.parametrize('settings', [windows((4, 6)), windows((2, 14)), maps((64, 128))])
@pytest.mark.parametrize('to', ['mmpretrain', 'original'])
def test_tables_that_are_not_square_are_not_converted(settings, to, tmp_path):
    """Files of other programs do not say their shape, and have an index of square windows."""
    weights = read_weights(str(write_run(build(settings), settings, tmp_path / 'x.pth')))
    with pytest.raises(CheckpointError, match=r'that are not square, in .* Only square ones have'):
        convert(weights, to)


def test_tables_without_as_many_rows_as_a_square_are_not_converted_without_settings(tmp_path):
    settings = windows((4, 6))
    path = write_without_settings(build(settings), settings, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'that are not square, in .* Only square ones have'):
        convert(read_weights(str(path)), 'original')
