"""The shapes of windows and embedded maps survive in files: a table of windows (4, 6) is not read as
one of windows (6, 4), which has as many rows in another order.

Modules: `mmgcvit/checkpoints/grids.py`, and those that read and write checkpoints.
"""

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmgcvit.checkpoints.converting import convert, save_checkpoint
from mmgcvit.checkpoints.fitting import fit_checkpoint
from mmgcvit.checkpoints.grids import GRID, parse_grids, read_grids
from mmgcvit.checkpoints.pretrained import load_pretrained
from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.checkpoints.safe_loading import read_for_mmengine
from mmgcvit.checkpoints.starting import select_initial
from mmgcvit.checkpoints.weights import read_weights
from mmgcvit.errors import CheckpointError
from mmgcvit.models.layers import position

from ..models.contract.backbones import small_gcvit, small_lsa

# Two networks whose tables have as many rows, in another order
PAIRS = {
    'windows': [small_gcvit(window_size=[size] * 4) for size in ((4, 6), (6, 4))],
    'embeddings': [small_lsa(pretrain_img_size=size) for size in ((64, 128), (128, 64))],
    'a square number of rows': [small_gcvit(window_size=[size] * 4) for size in ((2, 14), (5, 5))],
}
# A square table has a grid too: another one may have as many rows.
SQUARE = [small_lsa(pretrain_img_size=size) for size in ((64, 64), (32, 128))]
TABLES = {**PAIRS, 'a square table': SQUARE}


def load_backbone(path, target):
    load_pretrained(target, read_weights(str(path)))


def put_into_model(backbone):
    return nn.ModuleDict({'backbone': backbone, 'head': nn.Linear(2, 2)})


def load_model(select):
    def load(path, target):
        model = put_into_model(target)
        checkpoint = read_for_mmengine(str(path), is_resumed=False)
        select(model, checkpoint)
        model.load_state_dict(checkpoint.content['state_dict'], strict=False)

    return load


def write_backbone(source, path):
    torch.save(source.state_dict(), path)
    return path


def write_tensors(source, path):
    save_checkpoint(source.state_dict(), path.with_suffix('.safetensors'))
    return path.with_suffix('.safetensors')


def write_run(source, path):
    torch.save({'state_dict': put_into_model(source).state_dict(), 'meta': {}}, path)
    return path


def write_published(source, path):
    path = path.with_suffix('.safetensors')
    save_checkpoint(put_into_model(source).state_dict(), path)
    return path


@pytest.mark.parametrize('pair', TABLES)
@pytest.mark.parametrize(
    ('write', 'load'),
    [
        (write_backbone, load_backbone),
        (write_tensors, load_backbone),
        (write_run, load_model(fit_checkpoint)),
        (write_run, load_model(select_initial)),
        (write_run, load_backbone),
        (write_published, load_model(fit_checkpoint)),
    ],
    ids=['torch', 'safetensors', 'test', 'load_from', 'pretrained', 'publish'],
)
def test_tables_of_other_shapes_are_resized_as_torch_does(pair, write, load, tmp_path):
    source, other = TABLES[pair]
    expected = deepcopy(other)
    expected.load_state_dict(source.state_dict())
    target = deepcopy(other)
    load(write(source, tmp_path / 'x.pth'), target)
    found = target.state_dict()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found[name], tensor), name


def test_the_key_of_a_grid_is_that_of_the_layers():
    """They import torch only, and this package's reading of files imports no layers."""
    assert GRID == position.GRID
    source, _ = PAIRS['windows']
    assert read_grids(source.state_dict())['stages.0.blocks.0.attn.position'] == (7, 11)


@pytest.mark.parametrize('grid', [(0, 7), (7.0, 7), 'ab', None, (7,), [[7, 7]], {'a': 1}, True])
def test_crafted_grids_are_ignored(grid, tmp_path):
    state_dict = PAIRS['windows'][0].state_dict()
    state_dict._metadata = {'': grid, 'stages.0.blocks.0.attn.position': {GRID: grid}, 5: grid}
    torch.save(state_dict, tmp_path / 'x.pth')
    assert read_grids(read_checkpoint(tmp_path / 'x.pth')) == {}


@pytest.mark.parametrize('text', ['[', '[' * 100_000, '5', '{"a": 1}'])
def test_crafted_metadata_are_ignored(text):
    assert parse_grids({'grids': text}) == {}


@pytest.mark.parametrize('pair', PAIRS)
@pytest.mark.parametrize('to', ['mmpretrain', 'original'])
def test_tables_that_are_not_square_are_not_converted(pair, to, tmp_path):
    """Files of other programs do not say their shape, and have an index of square windows."""
    weights = read_weights(str(write_backbone(PAIRS[pair][0], tmp_path / 'x.pth')))
    with pytest.raises(CheckpointError, match=r'that are not square, in .* Only square ones have'):
        convert(weights, to)
