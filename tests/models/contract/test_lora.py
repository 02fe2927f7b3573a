"""Backbones with LoRA: what is trained, and how checkpoints with LoRA matrices are loaded.

Modules: `mmgcvit/models/layers/lora.py`, `mmgcvit/checkpoints/lora.py`.
"""

import re
from copy import deepcopy
from functools import partial

import pytest
import torch
from mmengine.model import MomentumAnnealingEMA
from mmengine.runner import load_checkpoint
from torch import nn

from mmgcvit.checkpoints.converting import convert
from mmgcvit.checkpoints.fitting import fit_checkpoint
from mmgcvit.checkpoints.safe_loading import Checkpoint
from mmgcvit.checkpoints.weights import read_weights
from mmgcvit.errors import CheckpointError
from mmgcvit.models.ablations import gcvit_variants, lsa_first_block
from mmgcvit.models.gcvit import GCViT
from mmgcvit.models.layers.lora import LoRALinear
from mmgcvit.models.lsa import LSA

from .backbones import (
    BACKBONES,
    GCVIT,
    LSA_ARCH,
    compute_maps_and_gradients,
    list_blocks,
    small_gcvit,
    small_lsa,
)

pytestmark = pytest.mark.usefixtures('empty_folder')
one_of_each = pytest.mark.parametrize('build', [small_gcvit, small_lsa])
# A layer with matrices in all checkpoints below.
LAYER = 'stages.0.blocks.0.attn.proj'
GCVIT_VARIANTS = [
    value
    for value in vars(gcvit_variants).values()
    if isinstance(value, type) and issubclass(value, GCViT)
]
LSA_VARIANTS = [
    value
    for value in vars(lsa_first_block).values()
    if isinstance(value, type) and issubclass(value, LSA)
]
VARIANTS = {network.__name__: partial(network, GCVIT) for network in GCVIT_VARIANTS} | {
    network.__name__: partial(network, {**LSA_ARCH, 'shared_position': True})
    for network in LSA_VARIANTS
}


def is_matrix(name):
    return name.endswith(('.lora_down', '.lora_up'))


def build_trained(build, **arguments):
    """Build a backbone with LoRA of rank 2 whose matrices are not zero, as after training."""
    model = build(drop_path_rate=0.0, lora_rank=2, **arguments).eval()
    for name, matrix in model.named_parameters():
        if name.endswith('lora_up'):
            nn.init.normal_(matrix, std=0.1)
    return model


@torch.no_grad()
def infer(model, images):
    """Return the maps of images. With gradients, convolutions would round otherwise where weights are
    frozen.
    """
    return model(images)


def select_old(tensors):
    """Return what the first version with LoRA saved, which had none in MLPs."""
    return {name: x for name, x in tensors.items() if not (is_matrix(name) and '.mlp.' in name)}


@pytest.fixture
def lines(monkeypatch):
    """Return a list that gets the lines that are logged about checkpoints."""
    lines = []
    for module in ('lora', 'loading'):
        target = f'mmgcvit.checkpoints.{module}.print_log'
        monkeypatch.setattr(target, lambda line, *_: lines.append(line))
    return lines


def load_pretrained(build, content, **arguments):
    """Load a checkpoint's content by init_cfg."""
    torch.save(content, 'x.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': 'x.pth'}
    model = build(drop_path_rate=0.0, init_cfg=init_cfg, **arguments).eval()
    model.init_weights()
    return model


def load_state_dict(build, content, **arguments):
    model = build(drop_path_rate=0.0, **arguments).eval()
    model.load_state_dict(content)
    return model


def load_by_mmengine(build, content, **arguments):
    """Load as mmengine's runner does, in a model around the backbone."""
    model = build(drop_path_rate=0.0, **arguments).eval()
    around = nn.ModuleDict({'backbone': model})
    torch.save({'state_dict': {f'backbone.{name}': x for name, x in content.items()}}, 'x.pth')
    load_checkpoint(around, 'x.pth', strict=True)
    return model


def load_checked(build, content, is_resumed=False, **arguments):
    """Load as the commands do."""
    model = build(drop_path_rate=0.0, **arguments).eval()
    checkpoint = Checkpoint('x.pth', {'state_dict': content}, None, is_resumed)
    fit_checkpoint(model, checkpoint)
    model.load_state_dict(checkpoint.content['state_dict'])
    return model


LOADERS = [load_pretrained, load_state_dict, load_by_mmengine, load_checked]


def test_matrices_start_as_in_the_code_of_the_lora_paper():
    """That code draws A as ``nn.Linear`` draws its weight, uniformly within 1 / sqrt(inputs), and
    sets B to zero.
    """
    layer = LoRALinear(nn.Linear(64, 8), rank=512)
    bound = 64**-0.5
    down = layer.lora_down.detach()
    assert 0.99 * bound < down.abs().max() <= bound
    assert down.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not layer.lora_up.any()


@pytest.mark.parametrize('build', [*BACKBONES.values(), *VARIANTS.values()])
def test_rank_0_is_the_default_and_a_rank_changes_neither_first_weights_nor_outputs(build):
    """They are equal bit for bit, as are the random numbers that follow a backbone of rank 0."""
    if 'lora_rank' in getattr(build, 'keywords', {}):
        pytest.skip('has a rank')
    models = []
    states = []
    for arguments in ({}, {'lora_rank': 0}, {'lora_rank': 2}):
        torch.manual_seed(0)
        models.append(build(drop_path_rate=0.0, **arguments).eval())
        states.append(torch.get_rng_state())
    default, zero, with_lora = models
    assert torch.equal(states[0], states[1])
    assert not any(isinstance(module, LoRALinear) for module in zero.modules())
    expected = default.state_dict()
    assert list(zero.state_dict()) == list(expected)
    assert {name for name in with_lora.state_dict() if not is_matrix(name)} == set(expected)
    images = torch.randn(2, 3, 64, 80)
    maps = infer(default, images)
    for model in (zero, with_lora):
        found = model.state_dict()
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor)
        torch.testing.assert_close(infer(model, images), maps, atol=0, rtol=0)


@pytest.mark.parametrize('build', [small_gcvit, small_lsa, *VARIANTS.values()])
def test_matrices_are_beside_all_linear_layers_of_blocks_and_train_with_the_output_norms(build):
    """Each gets a gradient that is not zero, so no layer is bypassed and DistributedDataParallel
    finds none unused.
    """
    plain = build()
    model = build_trained(build)
    layers = {
        f'stages.{i}.blocks.{j}.{name}'
        for i, stage in enumerate(plain.stages)
        for j, block in enumerate(stage.blocks)
        for name, layer in block.named_modules()
        if isinstance(layer, nn.Linear)
    }
    assert len(layers) >= 4 * len(list_blocks(plain)) - len(layers) / 4
    matrices = {f'{name}.{part}' for name in layers for part in ('lora_down', 'lora_up')}
    assert {name for name, _ in model.named_parameters() if is_matrix(name)} == matrices
    compute_maps_and_gradients(model.train(), torch.randn(2, 3, 64, 80))
    for name, parameter in model.named_parameters():
        is_trained = name in matrices or re.fullmatch(r'norm\d\.\w+', name) is not None
        assert parameter.requires_grad == is_trained, name
        assert not is_trained or parameter.grad.abs().max() > 0, name
    batch_norms = [x for x in model.modules() if isinstance(x, nn.BatchNorm2d)]
    assert not any(module.training for module in batch_norms)


@one_of_each
def test_matrices_and_norms_of_frozen_stages_are_frozen_too_and_others_get_gradients(build):
    """Also in stages of one block, where nothing uses GC ViT's global query."""
    arch = GCVIT if build is small_gcvit else LSA_ARCH
    for frozen_stages in (0, 2, 4):
        model = build_trained(
            build, arch={**arch, 'depths': (1, 2, 1, 1)}, frozen_stages=frozen_stages
        ).train()
        frozen = [*model.stages[:frozen_stages]]
        frozen += [model.get_submodule(f'norm{i}') for i in range(frozen_stages)]
        for module in (model.stem, *frozen):
            assert not any(x.requires_grad or module.training for x in module.parameters())
        if frozen_stages < 4:
            compute_maps_and_gradients(model, torch.randn(1, 3, 64, 64))
        trained = [x for x in model.parameters() if x.requires_grad]
        assert all(x.grad is not None for x in trained)
        assert bool(trained) == (frozen_stages < 4)


@one_of_each
def test_ema_and_the_optimizer_change_what_is_trained_and_nothing_else(build):
    model = build(drop_path_rate=0.0, lora_rank=2).train()
    average = MomentumAnnealingEMA(model)
    before = deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(2):  # in the first step, A has no gradient, since B = 0
        compute_maps_and_gradients(model, torch.randn(1, 3, 64, 64))
        optimizer.step()
        average.update_parameters(model)
    trained = {name for name, x in model.named_parameters() if x.requires_grad}
    for state_dict in (model.state_dict(), average.module.state_dict()):
        changed = {name for name, x in state_dict.items() if not torch.equal(x, before[name])}
        assert changed == trained


@pytest.mark.parametrize('load', LOADERS)
@pytest.mark.parametrize('is_old', [False, True])
@one_of_each
def test_a_backbone_without_lora_gets_merged_weights_and_the_same_outputs(build, is_old, load):
    """In float32 on a CPU, the same operations make the same bits."""
    tensors = build_trained(build).state_dict()
    tensors = select_old(tensors) if is_old else tensors
    unmerged = build(drop_path_rate=0.0, lora_rank=2).eval()
    unmerged.load_state_dict(tensors, strict=False)
    merged = load(build, tensors)
    assert not any(map(is_matrix, merged.state_dict()))
    images = torch.randn(2, 3, 64, 80)
    torch.testing.assert_close(infer(merged, images), infer(unmerged, images), atol=0, rtol=0)
    torch.save(tensors, 'x.pth')
    converted = convert(read_weights('x.pth'), 'mmpretrain')
    assert converted.keys() == {f'backbone.{name}' for name in merged.state_dict()}
    assert torch.equal(
        converted[f'backbone.{LAYER}.weight'], merged.get_parameter(f'{LAYER}.weight')
    )


def test_weights_in_half_precision_are_rounded_once():
    """The error of a merged weight is at most half a unit in the last place, 2**-8 of bfloat16."""
    tensors = {name: x.bfloat16() for name, x in build_trained(small_gcvit).state_dict().items()}
    weight, up, down = (
        tensors[f'{LAYER}.{name}'].double() for name in ('weight', 'lora_up', 'lora_down')
    )
    exact = weight + up @ down
    model = small_gcvit().bfloat16()
    model.load_state_dict(tensors)
    found = model.get_parameter(f'{LAYER}.weight')
    assert found.dtype == torch.bfloat16
    # The product in float32 adds less than a hundredth to it.
    error = (found.double() - exact).abs()
    assert (error <= 1.01 * 2**-8 * exact.abs() + 1e-9).all()


@pytest.mark.parametrize('load', [load_pretrained, load_checked])
@one_of_each
def test_a_backbone_with_lora_takes_the_matrices_and_a_line_says_which_are_missing(
    build, load, lines
):
    """Files of the first version lack those of MLPs, plain ones all: then B = 0."""
    trained = build_trained(build)
    images = torch.randn(2, 3, 64, 80)
    num_layers = 2 * len(list_blocks(trained))
    tensors = trained.state_dict()
    for content, words in (
        (tensors, None),
        (select_old(tensors), f'{2 * num_layers} LoRA matrices are new|{num_layers} layers'),
    ):
        lines.clear()
        model = load(build, content, lora_rank=2)
        for name, tensor in model.state_dict().items():
            if name in content:
                assert torch.equal(tensor, content[name])
            else:
                assert not name.endswith('lora_up') or not tensor.any()
        merged = load_state_dict(build, content)
        torch.testing.assert_close(infer(model, images), infer(merged, images), atol=0, rtol=0)
        found = [line for line in lines if 'LoRA' in line]
        assert len(found) == (words is not None)
        assert not found or re.search(words, found[0])
    plain = {name: x for name, x in tensors.items() if not is_matrix(name)}
    load_checked(build, plain, lora_rank=2)


CHANGES = [
    ({f'{LAYER}.lora_up': None}, rf'{LAYER} without its lora_up\. Use'),
    ({f'{LAYER}.lora_down': None}, rf'{LAYER} without its lora_down\. Use'),
    ({f'{LAYER}.weight': None}, rf'{LAYER} without its weight\. Use'),
    ({'head.lora_up': torch.ones(2, 2)}, r'head without its weight and lora_down\. Use'),
    ({f'{LAYER}.lora_up': torch.zeros(16, 3)}, r'not fit its weight: \(16, 3\) and \(2, 16\) for'),
    ({f'{LAYER}.lora_up': torch.zeros(8, 2)}, r'not fit its weight: \(8, 2\) and \(2, 16\) for'),
    ({f'{LAYER}.lora_up': torch.zeros(())}, r'not fit its weight: \(\) and \(2, 16\) for'),
]


@pytest.mark.parametrize('load', [load_state_dict, load_by_mmengine, load_checked])
@pytest.mark.parametrize(('change', 'message'), CHANGES)
@pytest.mark.parametrize('rank', [0, 2])
def test_matrices_that_do_not_fit_their_layer_are_rejected(change, message, rank, load):
    tensors = build_trained(small_gcvit).state_dict() | change
    content = {name: x for name, x in tensors.items() if x is not None}
    with pytest.raises(CheckpointError, match=f'has LoRA matrices of .*{message}'):
        load(small_gcvit, content, lora_rank=rank)


@pytest.mark.parametrize('load', LOADERS)
@one_of_each
def test_matrices_of_another_rank_are_rejected_by_a_backbone_with_lora(build, load):
    tensors = build_trained(build).state_dict()
    message = 'of rank 2 in .* and the model has rank 3. Set lora_rank=2, or merge'
    with pytest.raises(CheckpointError, match=message):
        load(build, tensors, lora_rank=3)


@pytest.mark.parametrize('rank', [0, 2])
def test_matrices_with_nan_are_rejected(rank):
    tensors = build_trained(small_gcvit).state_dict()
    tensors[f'{LAYER}.lora_up'][0, 0] = torch.nan
    for load in (load_pretrained, load_checked):
        with pytest.raises(CheckpointError, match=rf'{LAYER}\.(weight|lora_up)\) with NaN'):
            load(small_gcvit, tensors, lora_rank=rank)


@one_of_each
def test_a_run_is_resumed_only_with_its_own_lora(build):
    """The optimizer's state is that of its matrices."""
    tensors = build_trained(build).state_dict()
    plain = build().state_dict()
    load_checked(build, tensors, is_resumed=True, lora_rank=2)
    load_checked(build, plain, is_resumed=True)
    for content, rank in ((tensors, 0), (plain, 2), (select_old(tensors), 2)):
        with pytest.raises(CheckpointError, match='resumed with the lora_rank of its start'):
            load_checked(build, content, is_resumed=True, lora_rank=rank)
