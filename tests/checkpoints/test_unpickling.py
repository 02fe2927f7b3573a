"""What a pickle names is a placeholder, or data that it cannot change for others."""

import io
from collections import OrderedDict

import pytest
import torch

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.checkpoints.unpickling import (
    ALLOWED,
    DtypePlaceholder,
    Placeholder,
    SafeUnpickler,
    convert_numpy_scalar,
)


@pytest.mark.parametrize(
    'name', [name for name, value in ALLOWED.items() if not isinstance(value, torch.dtype)]
)
def test_attributes_that_a_pickle_sets_are_not_those_of_the_real_functions(name):
    module, _, attribute = name.rpartition('.')
    unpickler = SafeUnpickler(io.BytesIO())
    unpickler.find_class(module, attribute).mark = 1
    assert not hasattr(unpickler.find_class(module, attribute), 'mark')
    assert not hasattr(ALLOWED[name], 'mark')


def test_only_storages_are_loaded_by_torch():
    """For a module of an old file, torch would write a patch of its source."""
    loaded = []
    unpickler = SafeUnpickler(io.BytesIO())
    unpickler.persistent_load = loaded.append
    assert unpickler.persistent_load(('module', 'A class', 'file.py', 'source')) == 'A class'
    assert loaded == []
    unpickler.persistent_load(('storage', 'x'))
    assert loaded == [('storage', 'x')]


def test_attributes_of_dicts_are_not_kept_but_those_of_modules(tmp_path):
    state_dict = torch.nn.Linear(1, 1).state_dict()
    state_dict.other = 'text'
    nested = OrderedDict(a=1)
    nested.other = 'text'
    torch.save({'weights': state_dict, 'nested': nested}, tmp_path / 'x.pth')
    content = read_checkpoint(tmp_path / 'x.pth')
    assert {*vars(content['weights'])} == {'_metadata'}
    assert not vars(content['nested'])


class Key:
    """A key of another class."""


def test_entries_whose_key_is_no_data_are_not_kept(tmp_path):
    torch.save({Key(): 1, 'a': {(1, Key()): 2, (1, 2): 3}}, tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth') == {'a': {(1, 2): 3}}


@pytest.mark.parametrize(
    ('code', 'number'), [('f8', 1.5), ('f88', None), ('O8', None), ('x', None)]
)
def test_only_numbers_become_pythons(code, number):
    raw = b'\x00\x00\x00\x00\x00\x00\xf8\x3f'
    converted = convert_numpy_scalar(DtypePlaceholder(code), raw)
    if number is None:
        assert isinstance(converted, Placeholder)
    else:
        assert converted == number
