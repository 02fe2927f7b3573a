"""What every backbone of the package owes its host, whichever it is: one behaviour a test, all backbones."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.models.layers import cpu

from .backbones import BACKBONES, GCVIT, LSA_ARCH, small_gcvit, small_lsa


@pytest.fixture(params=BACKBONES)
def name(request):
    return request.param


@pytest.fixture
def build(name):
    return BACKBONES[name][0]


def halved(side, times):
    for _ in range(times):
        side = (side + 1) // 2
    return side


@settings(max_examples=10)
@given(height=st.integers(32, 90), width=st.integers(32, 90))
@pytest.mark.parametrize('backbone', BACKBONES)
def test_strides_are_4_to_32_at_any_size(backbone, height, width):
    build, channels = BACKBONES[backbone]
    with torch.no_grad():
        maps = build().eval()(torch.rand(1, 3, height, width))
    for i, found in enumerate(maps):
        assert found.shape == (1, channels[i], halved(height, i + 2), halved(width, i + 2))
        assert found.is_contiguous()


def test_an_empty_batch_gives_empty_maps(build, name, device):
    """And no gradients that are not finite: where images are shared out, a process may have none."""
    model = build().to(device)
    for training in (False, True):
        maps = model.train(training)(torch.zeros(0, 3, 75, 101, device=device))
        assert [found.shape[:2] for found in maps] == [(0, width) for width in BACKBONES[name][1]]
    sum(found.sum() for found in maps).backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int64, torch.bool, torch.complex64])
def test_images_of_other_than_real_numbers_are_refused_by_name(build, dtype):
    with pytest.raises(TypeError, match=f'images are of {dtype}; expected floating point numbers'):
        build()(torch.zeros(1, 3, 64, 64, dtype=dtype))


@settings(max_examples=10)
@given(
    window=st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9)),
    depths=st.tuples(*[st.integers(1, 3)] * 4),
    mlp_ratio=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
@pytest.mark.parametrize('build', [small_gcvit, small_lsa])
def test_any_options_compute_finite_maps_and_come_back_from_a_state_dict(build, window, depths, mlp_ratio, dtype):
    """To the bit: another one of the same options, given the state dict, computes the same."""
    arch = {**(GCVIT if build is small_gcvit else LSA_ARCH), 'depths': depths, 'mlp_ratio': mlp_ratio}
    model, other = (build(arch=arch, window_size=[window] * 4).eval().to(dtype) for _ in range(2))
    image = torch.randn(1, 3, 45, 67, dtype=dtype)
    with torch.no_grad():
        maps = model(image)
        other.load_state_dict(model.state_dict())
        torch.testing.assert_close(other(image), maps, atol=0, rtol=0)
    assert all(found.dtype == dtype and found.isfinite().all() for found in maps)


def test_an_image_gives_the_same_alone_and_among_others(build, device):
    """Within 1e-5, in a batch of four different images."""
    model = build().eval().to(device)
    images = torch.randn(4, 3, 75, 101, device=device)
    with torch.no_grad():
        together, alone = model(images), [model(image[None]) for image in images]
    for i, found in enumerate(together):
        torch.testing.assert_close(found, torch.cat([maps[i] for maps in alone]), atol=1e-5, rtol=0)


def test_twenty_sizes_are_the_same_at_their_first_and_second_call(build, device):
    """What a first call keeps, in inference mode, serves a second one, and training, which cannot learn from that."""
    model = build(drop_path_rate=0.0).to(device)
    sizes = [(32 + 7 * i % 64, 32 + 11 * i % 64) for i in range(20)]
    assert len(set(sizes)) == 20
    images = [torch.randn(1, 3, *size, device=device) for size in sizes]
    with torch.inference_mode():
        first = [model.eval()(image) for image in images]
    with torch.no_grad():
        second = [model(image) for image in images]
    trained = [model.train()(image) for image in images]
    torch.testing.assert_close(second, first, atol=1e-5, rtol=0)
    torch.testing.assert_close(trained, first, atol=1e-5, rtol=0)
    sum(found.square().mean() for maps in trained for found in maps).backward()


def outputs_and_gradients(model, images):
    """The maps of a training step, and the gradients of all parameters, each in units of its largest.

    What is trained is a fixed projection of the maps: their squares would hardly change, for the maps are normalised.
    """
    model.zero_grad()
    maps = model(images)
    generator = torch.Generator().manual_seed(1)
    sum((found * torch.randn(found.shape, generator=generator).to(found)).sum() for found in maps).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert sum(gradient.abs().max() > 1e-3 for gradient in gradients) > 0.9 * len(gradients)
    return maps, [gradient / gradient.abs().max().clamp(min=1e-3) for gradient in gradients]


def test_chunks_change_neither_outputs_nor_gradients(build, monkeypatch):
    """Within 1e-5 and 1e-4: images one by one, tokens a few at a time, as large ones are on a CPU."""
    model, images = build(drop_path_rate=0.0), torch.randn(3, 3, 64, 96)
    with torch.no_grad():
        inferred = model(images)
    trained = outputs_and_gradients(model, images)
    calls = []
    monkeypatch.setattr(model.stages[0], 'forward', watched(model.stages[0].forward, calls))
    monkeypatch.setattr(cpu, 'IMAGE_CHUNK_BYTES', 1)
    monkeypatch.setattr(cpu, 'TOKEN_CHUNK_BYTES', 1 << 14)
    with torch.no_grad():
        torch.testing.assert_close(model(images), inferred, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs_and_gradients(model, images), trained, atol=1e-4, rtol=0)
    assert len(calls) == 2 * 3


def watched(function, calls):
    """A function that notes its calls."""

    def call(*args):
        calls.append(args)
        return function(*args)

    return call


def test_who_hooks_a_layer_sees_its_whole_batch(build, monkeypatch):
    monkeypatch.setattr(cpu, 'IMAGE_CHUNK_BYTES', 1)
    model, seen = build().eval(), []
    for stage in model.stages:
        stage.blocks[-1].mlp.fc1.register_forward_hook(lambda layer, inputs, output: seen.append(len(output)))
    with torch.no_grad():
        model(torch.randn(3, 3, 64, 64))
    assert seen == [3] * 4


def test_training_is_deterministic_where_that_is_asked_for(build, device, monkeypatch):
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    model, images = build(drop_path_rate=0.0).to(device), torch.randn(2, 3, 64, 96, device=device)
    torch.use_deterministic_algorithms(True)
    try:
        once, again = (outputs_and_gradients(model, images) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(once, again, atol=0, rtol=0)


def test_a_trace_needs_nothing_of_this_package(build, monkeypatch):
    """Not its operators, nor the chunks that suit the batch that was traced; ONNX files are made of traces."""
    monkeypatch.setattr(cpu, 'IMAGE_CHUNK_BYTES', 1)
    model, images, calls = build().eval(), torch.randn(2, 3, 64, 96), []
    monkeypatch.setattr(model.stages[0], 'forward', watched(model.stages[0].forward, calls))
    traced = torch.jit.trace(model, images, check_trace=False)
    assert len(calls) == 1
    assert 'mmgcvit::' not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(images), model(images), atol=1e-5, rtol=0)


def test_checkpointing_changes_neither_outputs_nor_gradients(build):
    plain, checkpointed = build(drop_path_rate=0.0), build(drop_path_rate=0.0, with_cp=True)
    checkpointed.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 64, 96)
    results = [outputs_and_gradients(model.train(), image) for model in (plain, checkpointed)]
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)


def test_checkpointing_saves_memory_of_activations(build):
    """What autograd keeps for the backward pass, in bytes."""

    def kept(model):
        storages = {}

        def pack(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.train()(torch.randn(1, 3, 128, 128))
        return sum(storages.values())

    assert kept(build(with_cp=True)) < 0.6 * kept(build())


def blocks_run_twice(model):
    """For each stage whether training ran its blocks' forwards a second time."""
    calls = Counter()
    for i, stage in enumerate(model.stages):
        for block in stage.blocks:
            block.register_forward_pre_hook(lambda module, _, i=i: calls.update([i]))
    sum(found.square().mean() for found in model.train()(torch.randn(1, 3, 64, 64))).backward()
    return tuple(calls[i] == 2 * len(stage.blocks) for i, stage in enumerate(model.stages))


@pytest.mark.parametrize(
    ('with_cp', 'stages'),
    [
        (False, (False, False, False, False)),
        (True, (True, True, True, True)),
        ([False, False, True, False], (False, False, True, False)),
    ],
)
def test_checkpointing_is_chosen_by_stage(build, with_cp, stages):
    assert blocks_run_twice(build(with_cp=with_cp)) == stages


def test_every_layer_has_its_depth_for_layer_wise_learning_rates(build):
    """The blocks count from 1 in their order; all depths are taken; what is no part of the backbone is last."""
    model = build()
    depths = {name: model.get_layer_depth(f'backbone.{name}', 'backbone.') for name, _ in model.named_parameters()}
    (num_depths,) = {number for _, number in depths.values()}
    assert {depth for depth, _ in depths.values()} == set(range(num_depths))
    blocks = [f'stages.{i}.blocks.{j}' for i, stage in enumerate(model.stages) for j in range(len(stage.blocks))]
    for depth, block in enumerate(blocks, start=1):
        assert {depths[name][0] for name in depths if name.startswith(f'{block}.')} == {depth}
    assert len(blocks) == num_depths - 2
    for name in ('norm0.weight', 'norm3.bias'):
        assert depths[name][0] == num_depths - 1
    assert model.get_layer_depth('neck.conv.weight', 'backbone.') == (num_depths - 1, num_depths)
    before_blocks = {name for name, (depth, _) in depths.items() if depth == 0}
    assert before_blocks == {name for name in depths if not name.startswith(('stages', 'downsamplers', 'norm'))}


def test_checkpointing_reaches_every_block_behind_a_frozen_stem(build):
    """The first trained block's input needs no gradient; its activations must not be kept all the same."""
    model = build(with_cp=True, frozen_stages=0).train()
    calls = Counter()
    for stage in model.stages:
        for block in stage.blocks:
            block.register_forward_pre_hook(lambda module, _: calls.update([id(module)]))
    sum(found.square().mean() for found in model(torch.randn(1, 3, 64, 64))).backward()
    assert set(calls.values()) == {2}


def test_every_parameter_gets_a_gradient(build, device):
    model = build().train().to(device)
    sum(found.square().mean() for found in model(torch.randn(2, 3, 64, 64, device=device))).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without


@pytest.mark.parametrize('out_indices', [(0,), (1, 2, 3), (0, 2), (3,)])
def test_out_indices_choose_maps_and_leave_no_parameter_unused(build, out_indices):
    everything = build(drop_path_rate=0.0)
    chosen = build(drop_path_rate=0.0, out_indices=out_indices)
    chosen.load_state_dict(everything.state_dict(), strict=False)
    image = torch.randn(1, 3, 64, 64)
    maps, expected = chosen(image), everything(image)
    torch.testing.assert_close(maps, tuple(expected[i] for i in out_indices))
    sum(found.square().mean() for found in maps).backward()
    assert all(parameter.grad is not None for parameter in chosen.parameters())


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 3, 4])
def test_frozen_stages_get_no_gradient_and_stay_in_eval_mode(build, frozen_stages):
    model = build(frozen_stages=frozen_stages, drop_path_rate=0.5).train()
    if frozen_stages < 4:
        sum(found.square().mean() for found in model(torch.randn(1, 3, 64, 64))).backward()
    frozen = [] if frozen_stages < 0 else [model.stem, *model.stages[:frozen_stages]]
    frozen += [model.get_submodule(f'norm{i}') for i in range(max(frozen_stages, 0))]
    parameters_frozen = {id(parameter) for part in frozen for parameter in part.parameters()}
    for part in frozen:
        assert not any(module.training for module in part.modules())
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in part.parameters())
    trained = [p for stage in model.stages[max(frozen_stages, 0) :] for p in stage.parameters()]
    assert all(p.grad is not None and id(p) not in parameters_frozen for p in trained)


def test_other_channels_than_three(build):
    assert len(build(in_channels=5)(torch.randn(1, 5, 40, 40))) == 4


def test_pretrained_weights_come_through_init_cfg(build, tmp_path):
    """As hosts load them: a checkpoint of a detector, its backbone under a prefix."""
    source = build()
    weights = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save({'state_dict': weights, 'meta': {}}, tmp_path / 'detector.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'detector.pth'), 'prefix': 'backbone.'}
    model = build(init_cfg=init_cfg)
    model.init_weights()
    torch.testing.assert_close(model.state_dict(), source.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'out_indices': (0, 4)}, ValueError, r'\(0, 4\).*between 0 and 3'),
        ({'out_indices': (-1,)}, ValueError, 'between 0 and 3'),
        ({'out_indices': (2, 1)}, ValueError, 'ascending'),
        ({'out_indices': (1, 1)}, ValueError, 'each once'),
        ({'out_indices': ()}, ValueError, 'between 0 and 3'),
        ({'out_indices': 3}, TypeError, 'sequence of stage numbers'),
        ({'out_indices': '0'}, TypeError, 'sequence of stage numbers'),
        ({'frozen_stages': 5}, ValueError, r'frozen_stages is 5.*up to 4'),
        ({'frozen_stages': -2}, ValueError, 'frozen_stages is -2'),
        ({'in_channels': 0}, ValueError, 'in_channels is 0'),
        ({'in_channels': '3'}, TypeError, "in_channels is '3'"),
        ({'frozen_stages': 1.0}, TypeError, r'frozen_stages is 1\.0'),
        ({'frozen_stages': True}, TypeError, 'frozen_stages is True'),
        ({'with_cp': 1}, TypeError, 'with_cp is 1; expected True, False or one bool per stage'),
        ({'with_cp': [True]}, ValueError, r'with_cp is \[True\].*each of the 4 stages'),
        ({'with_cp': 'all'}, TypeError, "with_cp is 'all'"),
        ({'with_cp': [1, 0, 0, 0]}, TypeError, 'one bool per stage'),
    ],
)
def test_bad_arguments_are_refused_with_what_is_allowed(build, arguments, error, message):
    with pytest.raises(error, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ('images', 'error', 'message'),
    [
        (torch.rand(3, 64, 64), ValueError, r'\(3, 64, 64\).*four dimensions'),
        (torch.rand(1, 4, 64, 64), ValueError, '4 channels; expected 3'),
        (torch.rand(1, 3, 31, 64), ValueError, '31x64 px; expected at least 32'),
        (torch.rand(1, 3, 64, 31), ValueError, '64x31 px; expected at least 32'),
        ([1, 2], TypeError, 'not list'),
    ],
)
def test_bad_images_are_refused_with_what_is_allowed(build, images, error, message):
    with pytest.raises(error, match=message):
        build()(images)
