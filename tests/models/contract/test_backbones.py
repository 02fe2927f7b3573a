"""Test the contract of every backbone: one behaviour a test, parametrised over all backbones.

What the base class alone decides is tried with one backbone of each network.
"""

import re
from collections import Counter
from copy import deepcopy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.runner import load_checkpoint
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints.converting import save_checkpoint

from ...conftest import HALF_DTYPES
from .backbones import (
    BACKBONES,
    GCVIT,
    LSA_ARCH,
    compute_maps_and_gradients,
    small_gcvit,
    small_lsa,
)

# Between two results in float32, each within 1e-5 of the exact one: chunks and batches have other
# kernels.
TWICE_ROUNDED = {'atol': 2e-5, 'rtol': 0}
one_of_each = pytest.mark.parametrize('build', [small_gcvit, small_lsa], ids=['gcvit', 'lsa'])


@pytest.fixture(params=BACKBONES.values(), ids=[*BACKBONES])
def build(request):
    return request.param


@pytest.mark.parametrize('by_assignment', [True, False])
def test_a_backbone_built_on_meta_computes_what_the_loaded_one_does(build, by_assignment):
    """Buffers that state dicts lack are made anew. In training, too: drop path keeps the rate."""
    expected, images = build(drop_path_rate=0.5), torch.rand(2, 3, 64, 80)
    with torch.device('meta'):
        model = build(drop_path_rate=0.5)
    if not by_assignment:
        model.to_empty(device='cpu')
    model.load_state_dict(expected.state_dict(), assign=by_assignment)
    for training in (False, True):
        results = []
        for backbone in (expected, model):
            torch.manual_seed(0)
            results.append(backbone.train(training)(images))
        torch.testing.assert_close(*results, rtol=0, atol=0)


@settings(max_examples=10)
@given(height=st.integers(32, 90), width=st.integers(32, 90))
@pytest.mark.parametrize('backbone', BACKBONES)
def test_strides_are_4_to_32_at_any_size(backbone, height, width):
    model = BACKBONES[backbone]().eval()
    with torch.no_grad():
        maps = model(torch.rand(1, 3, height, width))
    for i, (found, stride) in enumerate(zip(maps, (4, 8, 16, 32), strict=True)):
        assert found.shape == (1, model.stage_dims[i], -(-height // stride), -(-width // stride))
        assert found.is_contiguous()


@settings(max_examples=10)
@given(
    window=st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9)),
    depths=st.tuples(*[st.integers(1, 3)] * 4),
    mlp_ratio=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
@one_of_each
def test_any_options_compute_finite_maps_and_round_trip_a_state_dict(
    build, window, depths, mlp_ratio, dtype
):
    """A second backbone that loads the state dict computes the same bits."""
    arch = {
        **(GCVIT if build is small_gcvit else LSA_ARCH),
        'depths': depths,
        'mlp_ratio': mlp_ratio,
    }
    model, other = (build(arch=arch, window_size=[window] * 4).eval().to(dtype) for _ in range(2))
    image = torch.randn(1, 3, 45, 67, dtype=dtype)
    with torch.no_grad():
        maps = model(image)
        other.load_state_dict(model.state_dict())
        torch.testing.assert_close(other(image), maps, atol=0, rtol=0)
    assert all(found.dtype == dtype and found.isfinite().all() for found in maps)


def test_outputs_do_not_depend_on_the_batch_size(build, device):
    """Compare a batch of four different images with the same images one by one."""
    model = build().eval().to(device)
    images = torch.randn(4, 3, 75, 101, device=device)
    with torch.no_grad():
        together, alone = model(images), [model(image[None]) for image in images]
    for i, found in enumerate(together):
        torch.testing.assert_close(found, torch.cat([maps[i] for maps in alone]), **TWICE_ROUNDED)


def test_constants_cached_in_inference_mode_work_in_training(build, device):
    model = build(drop_path_rate=0.0).to(device)
    images = torch.randn(1, 3, 45, 67, device=device)
    with torch.inference_mode():
        first = model.eval()(images)
    with torch.no_grad():
        torch.testing.assert_close(model(images), first, **TWICE_ROUNDED)
    trained = model.train()(images)
    torch.testing.assert_close(trained, first, **TWICE_ROUNDED)
    sum(found.square().mean() for found in trained).backward()


def test_training_is_deterministic_on_request(build, device, monkeypatch):
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    model, images = build(drop_path_rate=0.0).to(device), torch.randn(2, 3, 64, 96, device=device)
    torch.use_deterministic_algorithms(True)
    try:
        once, again = (compute_maps_and_gradients(model, images) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(once, again, atol=0, rtol=0)


def test_checkpointing_changes_neither_outputs_nor_gradients(build):
    plain, checkpointed = build(drop_path_rate=0.0), build(drop_path_rate=0.0, with_cp=True)
    checkpointed.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 64, 96)
    results = [compute_maps_and_gradients(model.train(), image) for model in (plain, checkpointed)]
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('name', ['gcvit', 'lsa_windows'])
def test_memory_saved_for_backward_is_linear_in_pixels(name):
    """Four times the pixels need at most 4.4 times the memory.

    Each tensor that autograd keeps is counted once.
    """
    model, needed = BACKBONES[name](drop_path_rate=0.0).train(), []
    for side in (192, 384):
        sizes = {}

        def count(x, sizes=sizes):
            sizes[x.data_ptr()] = x.nbytes
            return x

        with saved_tensors_hooks(count, lambda x: x):
            model(torch.randn(1, 3, side, side))
        needed.append(sum(sizes.values()))
    assert needed[1] <= 4.4 * needed[0]


@one_of_each
def test_checkpointing_runs_every_block_twice_behind_a_frozen_stem(build):
    """With a frozen stem the input of the first trained block does not require grad."""
    model, calls = build(with_cp=True, frozen_stages=0).train(), Counter()
    for block in [block for stage in model.stages for block in stage.blocks]:
        block.register_forward_pre_hook(lambda module, _: calls.update([module]))
    sum(found.square().mean() for found in model(torch.randn(1, 3, 64, 64))).backward()
    assert set(calls.values()) == {2}
    assert len(calls) == sum(len(stage.blocks) for stage in model.stages)


@one_of_each
def test_every_layer_has_its_depth_for_layer_wise_learning_rates(build):
    """Blocks are numbered from 1 in order, every depth occurs, and parameters outside the backbone
    are last.
    """
    model = build()
    depths = {
        name: model.get_layer_depth(f'backbone.{name}', 'backbone.')
        for name, _ in model.named_parameters()
    }
    (num_depths,) = {number for _, number in depths.values()}
    assert {depth for depth, _ in depths.values()} == set(range(num_depths))
    blocks = [
        f'stages.{i}.blocks.{j}'
        for i, stage in enumerate(model.stages)
        for j in range(len(stage.blocks))
    ]
    for depth, block in enumerate(blocks, start=1):
        assert {depths[name][0] for name in depths if name.startswith(f'{block}.')} == {depth}
    assert len(blocks) == num_depths - 2
    for name in ('norm0.weight', 'norm3.bias'):
        assert depths[name][0] == num_depths - 1
    assert model.get_layer_depth('neck.conv.weight', 'backbone.') == (num_depths - 1, num_depths)
    before_blocks = {name for name, (depth, _) in depths.items() if depth == 0}
    assert before_blocks == {
        name for name in depths if not name.startswith(('stages', 'downsamplers', 'norm'))
    }


@one_of_each
def test_out_indices_choose_maps_and_leave_no_parameter_unused(build):
    everything, image = build(drop_path_rate=0.0), torch.randn(1, 3, 64, 64)
    expected = everything(image)
    for out_indices in [(0,), (1, 2, 3), (0, 2), (3,)]:
        chosen = build(drop_path_rate=0.0, out_indices=out_indices)
        chosen.load_state_dict(everything.state_dict(), strict=False)
        maps = chosen(image)
        torch.testing.assert_close(maps, tuple(expected[i] for i in out_indices))
        info = [(found.shape[1], 64 // found.shape[2]) for found in maps]
        assert [
            *zip(chosen.feature_info.channels(), chosen.feature_info.reduction(), strict=True)
        ] == info
        assert chosen.num_features == info[-1][0]
        sum(found.square().mean() for found in maps).backward()
        assert all(parameter.grad is not None for parameter in chosen.parameters())


@one_of_each
def test_frozen_stages_get_no_gradient_and_stay_in_eval_mode(build):
    for frozen_stages in (-1, 0, 1, 3, 4):
        model = build(frozen_stages=frozen_stages, drop_path_rate=0.5).train()
        if frozen_stages < 4:
            sum(found.square().mean() for found in model(torch.randn(1, 3, 64, 64))).backward()
        frozen = [] if frozen_stages < 0 else [model.stem, *model.stages[:frozen_stages]]
        frozen += [model.get_submodule(f'norm{i}') for i in range(max(frozen_stages, 0))]
        for part in frozen:
            assert not any(module.training for module in part.modules())
            assert all(
                parameter.grad is None and not parameter.requires_grad
                for parameter in part.parameters()
            )
        for stage in model.stages[max(frozen_stages, 0) :]:
            assert all(parameter.grad is not None for parameter in stage.parameters())


@one_of_each
def test_only_lora_is_trained_in_attention_and_it_merges_into_plain_weights(build, tmp_path):
    """Each factor gets a gradient, so no layer is bypassed."""
    plain, images = build(drop_path_rate=0.0), torch.randn(2, 3, 64, 80)
    model = build(drop_path_rate=0.0, lora_rank=2)
    lacking = model.load_state_dict(plain.state_dict(), strict=False)
    linears = [
        name
        for name, layer in plain.named_modules()
        if '.attn.' in name and isinstance(layer, nn.Linear)
    ]
    factors = {f'{name}.{factor}' for name in linears for factor in ('lora_down', 'lora_up')}
    assert (set(lacking.missing_keys), lacking.unexpected_keys) == (factors, [])
    torch.testing.assert_close(model(images), plain(images), **TWICE_ROUNDED)
    for name in factors:
        if name.endswith('lora_up'):
            nn.init.normal_(model.get_parameter(name), std=0.1)
    compute_maps_and_gradients(model, images)
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    assert set(gradients) == factors
    assert all(gradient.abs().max() > 0 for gradient in gradients.values())

    file = tmp_path / 'run.pth'
    save_checkpoint(
        {'state_dict': {f'backbone.{name}': tensor for name, tensor in model.state_dict().items()}},
        file,
    )
    start = {'type': 'Pretrained', 'checkpoint': str(file)}
    found = [
        nn.ModuleDict({'backbone': build()}),
        build(init_cfg=start),
        build(init_cfg=start, lora_rank=3),
    ]
    load_checkpoint(found[0], str(file), strict=True)  # as mmengine does
    for built in found[1:]:
        built.init_weights()
    found = [found[0].backbone, *found[1:]]
    for merged in found:
        torch.testing.assert_close(merged.eval()(images), model.eval()(images), **TWICE_ROUNDED)
    assert set(found[1].state_dict()) == set(plain.state_dict())


# A kernel of CUDA is reported wrong in bfloat16 for windows of 15 and 17 (pytorch#191937).
SIDES = (7, 14, 15, 16, 17, 24) if torch.cuda.is_available() else (7, 15)
WINDOWED = {f'window_{side}': partial(small_gcvit, window_size=side) for side in SIDES}


@pytest.mark.parametrize(
    'build', [*BACKBONES.values(), *WINDOWED.values()], ids=[*BACKBONES, *WINDOWED]
)
def test_maps_and_gradients_are_near_those_of_float64_on_a_cpu(build, device):
    """Compare the relative error of each map and of all gradients together; half precision uses
    autocast.
    """
    model, images = build(drop_path_rate=0.0).train(), torch.randn(2, 3, 96, 130)
    expected, exact_gradients = compute_maps_and_gradients(
        deepcopy(model).double(), images.double()
    )
    for dtype, near in {None: 1e-5, **dict.fromkeys(HALF_DTYPES, 2e-2)}.items():
        maps, gradients = compute_maps_and_gradients(
            deepcopy(model).to(device), images.to(device), dtype
        )
        errors = [
            (found.cpu() - exact).norm() / exact.norm()
            for found, exact in zip(maps, expected, strict=True)
        ]
        assert max(errors) <= near, (dtype, errors)
        # In which terms nearly cancel.
        gradient, wanted = (
            torch.cat([x.cpu().flatten() for x in each]) for each in (gradients, exact_gradients)
        )
        assert (gradient - wanted).norm() <= 6 * near * wanted.norm(), dtype


def test_large_weights_and_images_stay_finite_under_autocast(build, device):
    """All weights times 8, images times 100: outputs in inference and training; gradients too, but
    for fp16's, which are beyond its range and the loss scaler's to find out.
    """
    model, images = (
        build(drop_path_rate=0.0).to(device),
        100 * torch.randn(2, 3, 96, 130, device=device),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    for dtype in HALF_DTYPES:
        model.zero_grad()
        with torch.no_grad(), torch.autocast(device, dtype=dtype):
            inferred = model.eval()(images)
        with torch.autocast(device, dtype=dtype):
            trained = model.train()(images)
        sum(found.float().abs().mean() for found in trained).backward()
        gradients = (
            [] if dtype is torch.float16 else [parameter.grad for parameter in model.parameters()]
        )
        assert all(torch.isfinite(x).all() for x in (*inferred, *trained, *gradients)), dtype


@pytest.mark.parametrize(
    'network', [partial(GCViT, 'xxtiny'), partial(LSA, 'cifar-tiny')], ids=['gcvit', 'lsa']
)
def test_initial_weights_are_normal_with_deviation_0_02_and_biases_zero(network):
    model = network()
    groups = {
        'linear': [],
        'table': [x for name, x in model.named_parameters() if name.endswith(('table', 'embed'))],
    }
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            groups['linear'].append(layer.weight)
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.Conv2d) and isinstance(model, LSA):
            groups.setdefault('convolution', []).append(layer.weight)
    for weights in groups.values():
        assert torch.cat([weight.flatten() for weight in weights]).std().item() == pytest.approx(
            0.02, rel=0.02
        )


@one_of_each
def test_bad_arguments_are_rejected_with_what_is_allowed(build):
    cases = [
        *(
            ({'out_indices': i}, 'between 0 and 3, each once')
            for i in [(0, 4), (2, 1), (1, 1), (), 3, '0']
        ),
        ({'frozen_stages': 5}, r'frozen_stages is 5.*up to 4'),
        *(({'frozen_stages': i}, 'frozen_stages is .*at least -1') for i in (-2, 1.0, True)),
        *(({'lora_rank': i}, 'lora_rank is') for i in (-1, 0.5)),
        *(({'in_channels': i}, 'in_channels is') for i in (0, '3')),
    ]
    for arguments, words in cases:
        with pytest.raises(ValueError, match=words):
            build(**arguments)


@one_of_each
def test_bad_images_are_rejected_with_what_is_allowed(build):
    model = build()
    for shape in [(3, 64, 64), (1, 4, 64, 64), (1, 3, 31, 64), (1, 3, 64, 31)]:
        with pytest.raises(
            ValueError, match=rf'{re.escape(str(shape))}; expected \(B, 3.*at least 32'
        ):
            model(torch.rand(shape))
    with pytest.raises(TypeError, match=r'tensor of torch\.uint8; expected floats'):
        model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(TypeError, match='images are list'):
        model([1, 2])
