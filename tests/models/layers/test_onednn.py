"""Linear layers: torch's, whichever library computes them."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mmgcvit.models.layers import cpu, is_plain, linear


@pytest.fixture(params=[True, False], ids=['as convolution', 'as it is'])
def as_convolution(request, monkeypatch):
    monkeypatch.setattr(cpu, 'mkl_is_slow', lambda: request.param)
    monkeypatch.setattr(cpu, 'FEWEST_ELEMENTS', 0)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    return request.param


@pytest.mark.parametrize('shape', [(7,), (5, 7), (2, 5, 7), (2, 3, 4, 7), (2, 3, 4, 5, 7), (0, 3, 7), (2, 0, 7)])
@pytest.mark.parametrize('bias', [True, False])
def test_outputs_and_gradients_are_those_of_torchs_linear(shape, bias, as_convolution):
    layer, results = nn.Linear(7, 6, bias=bias), []
    for call in (linear, nn.Linear.__call__):
        x = torch.arange(float(torch.Size(shape).numel())).reshape(shape).sin().requires_grad_()
        out = call(layer, x)
        results.append((out, torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])))
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)


def operators_called(function):
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        function()
    return {event.name for event in profiled.events()}


def test_the_library_is_the_one_for_the_processor(as_convolution):
    layer, x = nn.Linear(7, 6), torch.randn(5, 7)
    assert ('aten::conv2d' in operators_called(lambda: linear(layer, x))) == as_convolution


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='this torch has no oneDNN')
@pytest.mark.parametrize('number', [1, 2])
@pytest.mark.parametrize('more', [0, 1])
def test_convolutions_are_made_of_just_those_products_that_torch_gives_to_onednn(number, more, threads, monkeypatch):
    """A convolution of less, or in one thread, is computed by MKL after all, and slower than a linear layer."""
    monkeypatch.setattr(cpu, 'mkl_is_slow', lambda: True)
    threads(number)
    layer, x = nn.Linear(1, 1), torch.zeros(cpu.FEWEST_ELEMENTS + more, 1)
    given = 'aten::mkldnn_convolution' in operators_called(lambda: cpu.linear_as_convolution(x, layer.weight))
    assert ('aten::conv2d' in operators_called(lambda: linear(layer, x))) == given == (number > 1 and more > 0)


def test_a_map_that_is_not_contiguous_serves(as_convolution):
    x, layer = torch.randn(2, 7, 4, 3).permute(0, 2, 3, 1), nn.Linear(7, 6)
    torch.testing.assert_close(linear(layer, x), layer(x))


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_dtypes_serve(dtype, as_convolution):
    x, layer = torch.randn(2, 5, 7, dtype=dtype), nn.Linear(7, 6).to(dtype)
    torch.testing.assert_close(linear(layer, x), layer(x))


def test_the_layer_is_called_hooks_included(as_convolution):
    layer, seen = nn.Linear(7, 6), []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    found = linear(layer, torch.randn(5, 7))
    assert found is seen[0]


def test_an_adapter_in_its_place_takes_effect(as_convolution):
    """Its products too are computed by the faster library."""
    base, adapter, x = nn.Linear(7, 6), nn.Linear(7, 6), torch.randn(5, 7)
    both = nn.Module()
    both.forward = lambda x: base(x) + adapter(x)
    torch.testing.assert_close(linear(both, x), base(x) + adapter(x))


def test_a_layer_is_plain_until_somebody_touches_it():
    assert is_plain(nn.Linear(3, 3))
    assert is_plain(nn.Conv2d(3, 3, 1))
    watched = nn.Linear(3, 3)
    watched.register_forward_pre_hook(lambda *_: None)
    replaced = nn.Linear(3, 3)
    replaced.forward = replaced.forward
    parametrized = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    for layer in (watched, replaced, parametrized, nn.Sequential(nn.Linear(3, 3))):
        assert not is_plain(layer)


@pytest.mark.parametrize(
    ('cpuinfo', 'mkl', 'slow'),
    [
        ('vendor_id\t: GenuineIntel\n', True, False),
        ('vendor_id\t: AuthenticAMD\n', True, True),
        ('vendor_id\t: AuthenticAMD\n', False, False),
        (None, True, False),
    ],
)
def test_the_processor_decides(cpuinfo, mkl, slow, tmp_path, monkeypatch):
    """Only where torch has MKL, and the processor is known not to be Intel's."""
    file = tmp_path / 'cpuinfo'
    if cpuinfo:
        file.write_text(cpuinfo)
    monkeypatch.setattr(cpu, 'CPUINFO', file)
    monkeypatch.setattr(torch.backends.mkl, 'is_available', lambda: mkl)
    assert cpu.mkl_is_slow.__wrapped__() is slow
