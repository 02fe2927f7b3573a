"""A layer that somebody watches, or has replaced a part of, is called as it is."""

import pytest
from torch import nn
from torch.nn.utils import parametrize

from mmgcvit.models.layers.cpu import has_hooks, has_own_hooks, is_plain

REGISTERING = (
    'register_forward_hook',
    'register_forward_pre_hook',
    'register_full_backward_hook',
    'register_full_backward_pre_hook',
)
FOR_ALL = ('register_module_forward_hook', 'register_module_forward_pre_hook', 'register_module_full_backward_hook')


def nothing(*_):
    """A hook that changes nothing."""


@pytest.mark.parametrize('register', REGISTERING)
def test_hooks_of_a_layer_and_of_one_inside_are_seen(register):
    inner = nn.Linear(2, 2)
    outer = nn.Sequential(inner)
    assert not has_hooks(outer)
    handle = getattr(inner, register)(nothing)
    assert has_hooks(outer)
    assert has_own_hooks(inner)
    assert not has_own_hooks(outer)
    assert not is_plain(inner)
    handle.remove()
    assert not has_hooks(outer)
    assert is_plain(inner)


@pytest.mark.parametrize('register', FOR_ALL)
def test_hooks_for_all_modules_are_seen(register):
    handle = getattr(nn.modules.module, register)(nothing)
    try:
        assert has_hooks(nn.Linear(2, 2))
    finally:
        handle.remove()


class OtherLinear(nn.Linear):
    """Might compute anything."""


@pytest.mark.parametrize(
    ('layer', 'expected'),
    [(nn.Linear(2, 2), True), (nn.Conv2d(1, 1, 1), True), (OtherLinear(2, 2), False), (nn.ReLU(), False)],
)
def test_plain_layers_are_torchs_own(layer, expected):
    assert is_plain(layer) is expected


def test_a_layer_with_another_forward_or_another_kind_of_weight_is_not_plain():
    replaced = nn.Linear(2, 2)
    replaced.forward = lambda x: x
    assert not is_plain(replaced)
    parametrized = parametrize.register_parametrization(nn.Linear(2, 2), 'weight', nn.Identity())
    assert not is_plain(parametrized)
    subclassed = nn.Linear(2, 2)
    subclassed.weight = type('OtherParameter', (nn.Parameter,), {})(subclassed.weight)
    assert not is_plain(subclassed)
