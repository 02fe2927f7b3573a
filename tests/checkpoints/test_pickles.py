"""Pickles are read as data: nothing that a file names is called, whatever it makes of it; what comes out is known."""

import argparse
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from mmgcvit.checkpoints import CheckpointError, read_checkpoint
from mmgcvit.checkpoints.kinds import Kind, names_in_files
from mmgcvit.checkpoints.pickles import MOST_LEVELS, MOST_OPCODES, Machine, read_pickle
from mmgcvit.checkpoints.torch_files import described
from mmgcvit.errors import NotDataError

from ..memory import grown_by

HISTORY = 'mmengine.logging.history_buffer HistoryBuffer'


def read(pickled):
    return read_pickle(pickled, names_in_files(), no_storage)


def no_storage(reference):
    raise NotDataError('a storage')


def named(name):
    return b'c' + name.replace(' ', '\n').encode() + b'\n'


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize(
    'value',
    [
        {'a': [1, -1, 2**100, 1.5, True, None, 'ä', b'\xff', (1, (2, 3)), 1 + 2j]},
        OrderedDict(b=1, a=2),
        Counter([3, 3]),
        {1, 'a'},
        frozenset({2}),
        bytearray(b'ab'),
        argparse.Namespace(lr=0.1),
        torch.Size([2, 3]),
        torch.float8_e5m2,
        torch.device('cuda', 1),
        np.float32(1.5),
        np.random.default_rng(0).bit_generator.state,
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_is_read_as_python_reads_it(value, protocol):
    found = read(pickle.dumps(value, protocol))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize('protocol', [2, 5])
@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize('dtype', ['f4', '>i8', 'b1', 'c16'])
def test_arrays_are_read_to_the_bit(dtype, order, protocol):
    array = np.asarray(np.arange(6).reshape(2, 3), dtype, order=order)
    np.testing.assert_array_equal(read(pickle.dumps(array, protocol)), array)


def test_what_shares_is_shared_still():
    shared = [1]
    first, second = read(pickle.dumps([shared, shared], 2))
    assert first is second


@pytest.mark.parametrize(
    'name', ['os system', 'builtins eval', 'builtins getattr', 'torch load', 'numpy load', 'a b c']
)
def test_a_name_alone_is_no_data(name):
    with pytest.raises(NotDataError):
        read(b'\x80\x02' + named(name) + b'.')


@pytest.mark.parametrize(
    'program',
    [
        # An object array of pointers that the file chooses: a set of it follows them.
        named('numpy ndarray') + b'(K\x01\x85X\x01\x00\x00\x00OC\x08AAAAAAAAtR',
        named('numpy dtype') + b'(X\x02\x00\x00\x00O8\x89\x88tR(K\x03X\x01\x00\x00\x00|NNNK\x00K\x00K?tb',
        named('numpy dtype') + b'(X\x02\x00\x00\x00V8\x89\x88tR',
        # So much memory from so few bytes.
        named('builtins bytearray') + b'J\x00\x00\x00\x7f\x85R',
        named('builtins bytes') + b'J\x00\x00\x00\x7f\x85R',
        # Attributes of what is allowed.
        named('builtins getattr') + named(HISTORY) + b'X\x08\x00\x00\x00__init__\x86R',
        named('builtins getattr') + b'X\x01\x00\x00\x00aX\x05\x00\x00\x00upper\x86R',
        # States of what has none, or of a class.
        b'](K\x01e}b',
        named('builtins set') + b'}b',
        named('argparse Namespace') + b'}X\x01\x00\x00\x00aK\x01sb',
        named('argparse Namespace') + b')\x81}K\x01K\x01sb',
        # Calls of values, and of what other arguments made.
        b']]R',
        b'X\x01\x00\x00\x00a)R',
        named('torch._utils _rebuild_tensor_v2') + b')R',
        named('torch.storage _load_from_bytes') + b'C\x01a\x85R',
        # Keys whose hash recurses, containers in sets.
        b'})K\x01s',
        b'\x8f()\x90',
        named('builtins set') + b'])a\x85R',
        # Opcodes that pickles of torch never have.
        b'\x82\x01',
        b'2',
        b'(ios\nsystem\n',
        b'P0\n',
        b'\x8a\xff' + b'\x01' * 255,
    ],
)  # fmt: skip
def test_programs_that_are_more_than_data_are_refused(program):
    with pytest.raises(NotDataError):
        read(b'\x80\x02' + program + b'.')


@pytest.mark.parametrize(
    'program',
    [
        *(b'', b'.', b'R', b'a', b'u', b'(', b'h\x05', b'NN', b'}(Nu', b'}(K\x01u', b'K\x01K\x02s', b'NNR', b'Q'),
        *(b'\x93', b'X\xff\xff\xff\xffa'),
    ],
)
def test_malformed_pickles_end_in_an_error(program):
    with pytest.raises(Exception):  # noqa: B017, PT011  (the reader's callers take any)
        read(b'\x80\x02' + program + b'.')


def test_a_container_that_holds_itself_is_refused():
    with pytest.raises(NotDataError, match='holds itself'):
        read(b'\x80\x02]q\x00h\x00a.')


def lists_in_lists(levels, innermost=()):
    nested = list(innermost)
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.parametrize('innermost', [[], [None]], ids=['empty', 'a value'])
def test_nesting_is_bounded(innermost):
    """Of containers: a value in the innermost is no level more."""
    allowed = lists_in_lists(MOST_LEVELS, innermost)
    assert read(pickle.dumps(allowed, 2)) == allowed
    with pytest.raises(NotDataError, match='levels'):
        read(pickle.dumps([allowed], 2))
    with pytest.raises(NotDataError, match='levels'):
        read(b'\x80\x02' + b']' * 100_000 + b'a' * 99_999 + b'.')
    with pytest.raises(NotDataError, match='levels'):
        read(b'\x80\x02N' + b'\x85' * 100_000 + b'.')


def test_nesting_is_bounded_where_what_is_shared_lies_deepest():
    shared = lists_in_lists(MOST_LEVELS - 1)
    assert read(pickle.dumps([shared, shared], 2)) == [shared, shared]
    with pytest.raises(NotDataError, match='levels'):
        read(pickle.dumps([shared, [shared]], 2))


def test_few_bytes_do_not_stand_for_endless_items():
    """Ten lists of ten times the one before, seven levels high, from 400 bytes."""
    lists = b''.join(b'q%c](' % level + b'h%c' % level * 10 + b'e' for level in range(8))
    with pytest.raises(NotDataError, match='items'):
        read(b'\x80\x02(](NNNNNNNNNNe' + lists + b't.')


@pytest.mark.slow
@pytest.mark.parametrize('opcode', [b']', b'\x8f', b')\x94', b'(', b'G\0\0\0\0\0\0\0\0'])
def test_memory_is_bounded_whatever_a_pickle_makes(opcode):
    """20 MB that would make up to 4.3 GB."""
    pickled = b'\x80\x04(' + opcode * (20_000_000 // len(opcode)) + b't.'

    def refuse():
        with pytest.raises(NotDataError, match=f'{MOST_OPCODES:,} steps'):
            read(pickled)

    assert grown_by(refuse) < 300 << 20


def test_so_much_may_be_made_of_nothing_and_so_much_of_each_byte_read():
    """16 MB, and four times what was read; what was made before counts."""
    machine = Machine({}, no_storage)
    machine.position = 1000
    machine.account_for(np.empty(16 << 20, np.uint8))
    machine.account_for(np.empty(4000, np.uint8))
    with pytest.raises(NotDataError, match='more memory'):
        machine.account_for(np.empty(1, np.uint8))


def test_no_kind_makes_anything_callable():
    """What files can make is data: a name stands for a maker or a value, and none of these values can be called."""
    values = [value for value in names_in_files().values() if not isinstance(value, Kind)]
    assert not any(callable(value) for value in values)


def archive(path, program, numbers=bytes(24)):
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('x/data.pkl', b'\x80\x02' + program + b'.')
        file.writestr('x/data/0', numbers)
    return str(path)


def tensor(offset=0, size=(2, 3), stride=(3, 1), count=6, kind='FloatStorage'):
    def numbers(values):
        return b'(' + b''.join(b'\x8a\x08' + struct.pack('<q', value) for value in values) + b't'

    storage = b'(X\x07\x00\x00\x00storage' + named(f'torch {kind}') + b'X\x01\x00\x00\x000X\x03\x00\x00\x00cpu'
    storage += numbers([count])[1:-1] + b'tQ'
    shape = numbers([offset])[1:-1] + numbers(size) + numbers(stride)
    return named('torch._utils _rebuild_tensor_v2') + b'(' + storage + shape + b'\x89}tR'


def test_a_tensor_within_its_storage_is_read(tmp_path):
    numbers = torch.arange(6.0).numpy().tobytes()
    assert read_checkpoint(archive(tmp_path / 'x', tensor(), numbers)).tolist() == [[0, 1, 2], [3, 4, 5]]
    turned = read_checkpoint(archive(tmp_path / 'x', tensor(size=(3, 2), stride=(1, 3)), numbers))
    assert turned.tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    'description',
    [
        *({'offset': 1}, {'offset': -1}, {'size': (3, 3)}, {'stride': (4, 1)}, {'stride': (-3, 1)}, {'size': (2,)}),
        *({'size': (2**40, 2**40)}, {'size': (10**9, 10**9), 'stride': (0, 0)}, {'size': (7,), 'stride': (0,)}),
        *({'count': 7}, {'count': 2**40}, {'count': -6}, {'kind': 'DoubleStorage'}, {'kind': 'QInt8Storage'}),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(description, tmp_path):
    with pytest.raises(CheckpointError):
        read_checkpoint(archive(tmp_path / 'x', tensor(**description)))


FLOATS = names_in_files()['torch.FloatStorage']


@pytest.mark.parametrize(
    'reference',
    [
        *('storage', ('storage',), ['storage', FLOATS, '0', 'cpu', 6], ('module', FLOATS, '0', 'cpu', 6)),
        *(('storage', 'torch.FloatStorage', '0', 'cpu', 6), ('storage', FLOATS, 0, 'cpu', 6)),
        *(('storage', FLOATS, '0', 'cpu', 6.0), ('storage', FLOATS, '0', 'cpu', 6, 'a view')),
        ('storage', FLOATS, '0', 'cpu', 6, None, None),
    ],
)
def test_a_reference_that_torch_does_not_write_is_refused(reference):
    assert described(('storage', FLOATS, '0', 'cpu', 6)) == described(('storage', FLOATS, '0', 'cpu', 6, None))
    with pytest.raises(NotDataError, match='reference to'):
        described(reference)


def test_truth_values_are_0_or_1(tmp_path):
    program = tensor(size=(24,), stride=(1,), count=24, kind='BoolStorage')
    assert not read_checkpoint(archive(tmp_path / 'x', program)).any()
    with pytest.raises(CheckpointError, match='truth'):
        read_checkpoint(archive(tmp_path / 'x', program, b'\x02' * 24))


@pytest.mark.parametrize(
    'make',
    [lambda t: t.to_sparse(), lambda t: t.to('meta')],
)
def test_sparse_and_empty_tensors_are_no_weights(make, tmp_path):
    torch.save({'a': make(torch.ones(3))}, tmp_path / 'x')
    with pytest.raises(CheckpointError, match=r'torch\._utils\._rebuild'):
        read_checkpoint(str(tmp_path / 'x'))


def test_of_a_state_dicts_metadata_only_versions_are_read(tmp_path):
    """torch would follow other entries: assign_to_params_buffers puts the file's tensors in place of the model's."""
    state_dict = nn.Linear(1, 1).state_dict()
    state_dict._metadata['']['assign_to_params_buffers'] = True
    state_dict.other = 1
    torch.save(state_dict, tmp_path / 'x')
    found = read_checkpoint(str(tmp_path / 'x'))
    assert vars(found) == {'_metadata': {'': {'version': 1}}}


def test_a_tensor_is_no_larger_than_its_file(tmp_path):
    """Compressed, 128 MB of zeros are 128 KB of file."""
    with zipfile.ZipFile(tmp_path / 'x', 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('x/data.pkl', b'\x80\x02' + tensor(size=(2**25,), stride=(1,), count=2**25) + b'.')
        with file.open('x/data/0', 'w') as entry:
            for _ in range(128):
                entry.write(bytes(1 << 20))

    def refuse():
        with pytest.raises(CheckpointError, match='compressed'):
            read_checkpoint(str(tmp_path / 'x'))

    assert grown_by(refuse) < 50 << 20
