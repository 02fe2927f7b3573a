"""Files of torch.save are read as data: weights to the bit, nothing that a file names is run, objects left out."""

import argparse
import copyreg
import io
import pickle
import struct
import tarfile
import tempfile
import zipfile
from collections import Counter, OrderedDict, defaultdict
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging.history_buffer import HistoryBuffer
from packaging.version import Version
from torch import nn

from mmgcvit.checkpoints import CheckpointError, DamagedCheckpointError, read_checkpoint
from mmgcvit.checkpoints.torch_files import (
    BEFORE_ZIP,
    NAMES,
    UNTYPED,
    DataUnpickler,
    Inert,
    NumberType,
    as_data,
    read_torch,
)

from .conftest import RunsACommand

# Values that come out as they went in.
DATA = {
    'plain': {'a': [1, -1, 2**100, 1.5, True, None, 'ä', b'\xff', b'', bytearray(b'ab'), (1, (2, 3)), 1 + 2j]},
    'ordered': OrderedDict(b=1, a=2),
    'counter': Counter([3, 3]),
    'sets': [{1, 'a'}, frozenset({2})],
    'torch': [torch.Size([2, 3]), torch.float8_e5m2, torch.device('cuda', 1)],
}
# Objects of classes, and what stands beside their weights in files of trainers: nothing of it is needed.
LEFT_OUT = {
    'options': argparse.Namespace(lr=0.1),
    'array': np.arange(3),
    'objects': np.array(['a'], dtype=object),
    'log': HistoryBuffer([1.0], [1]),
    'path': Path('x'),
    'fraction': Fraction(1, 3),
    'inside a list': [1, Fraction(1, 3)],
    'sparse': torch.ones(3).to_sparse(),
    'a function': argparse.ArgumentParser,
    'a module': nn.Linear(1, 1),
    'huge': 2**300,
}
TENSORS = {
    'float': torch.arange(6.0).reshape(2, 3),
    'turned': torch.arange(6.0).reshape(2, 3).T,
    'a part': torch.arange(6)[2:4],
    'empty': torch.zeros(0, 3),
    'one': torch.tensor(2.5, dtype=torch.bfloat16),
    'truth': torch.tensor([True, False]),
    'parameter': nn.Parameter(torch.ones(3)),
}
if Version(torch.__version__) >= Version('2.3'):
    # torch 2.1 has it, and saves none.
    TENSORS['newer'] = torch.ones(3).to(torch.float8_e5m2)


def read(pickled):
    return as_data(DataUnpickler(io.BytesIO(pickled)).load(), {})


@pytest.mark.parametrize('is_zip', [True, False], ids=['zip', 'before zip'])
def test_data_is_read_to_the_bit_and_the_rest_left_out_whatever_the_protocol(is_zip, tmp_path):
    path = tmp_path / 'x.pth'
    shared = [1]
    content = {**DATA, 'number': np.float32(1.5), 'shared': [shared, shared], 'other dict': defaultdict(list, a=[1])}
    weights = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()
    for protocol in (2, 3, 4, 5):
        saved = {**content, **LEFT_OUT, 'tensors': TENSORS, 'weights': weights, 'bad': RunsACommand(tmp_path / 'ran')}
        torch.save(saved, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
        found = read_torch(path)
        tensors, loaded = found.pop('tensors'), found.pop('weights')
        assert found == content
        assert [type(found[name]) for name in DATA] == [type(value) for value in DATA.values()]
        assert found['shared'][0] is found['shared'][1]
        assert tensors.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            assert type(tensors[name]) is torch.Tensor, name
            assert tensors[name].dtype == tensor.dtype, name
            assert torch.equal(tensors[name].float(), tensor.float()), name
        assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
        assert loaded._metadata == {'': {'version': 1}, '0': {'version': 1}, '1': {'version': 2}}
    assert not (tmp_path / 'ran').exists()


def test_without_numbers_tensors_have_their_shapes(tmp_path):
    torch.save({'a': torch.ones(2, 3), 'meta': {'iter': 7}}, tmp_path / 'x')
    found = read_torch(tmp_path / 'x', with_numbers=False)
    assert (found['a'].is_meta, found['a'].shape, found['meta']) == (True, (2, 3), {'iter': 7})


def test_of_a_state_dicts_metadata_only_versions_are_read(tmp_path):
    """torch would follow other entries: assign_to_params_buffers puts the file's tensors in place of the model's."""
    state_dict = nn.Linear(1, 1).state_dict()
    state_dict._metadata['']['assign_to_params_buffers'] = True
    state_dict.other = 1
    torch.save(state_dict, tmp_path / 'x')
    assert vars(read_torch(tmp_path / 'x')) == {'_metadata': {'': {'version': 1}}}


def named(name):
    return b'c' + name.replace(' ', '\n').encode() + b'\n'


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


CANARY = text('touch ran')
NOTHING = {
    'a function': named('posix system') + CANARY + b'\x85R',
    'by its other name': named('os system') + CANARY + b'\x85R',
    'a dotted name': b'\x8c\x05torch\x8c\x0cos.system.xy\x93' + CANARY + b'\x85R',
    'through a module that is allowed': b'\x8c\x05torch\x8c\x04load\x93' + CANARY + b'\x85R',
    'an attribute of what is allowed': named('builtins getattr')
    + named('collections OrderedDict')
    + text('clear')
    + b'\x86R',
    'a module itself': named('torch serialization'),
    'an old class': b'(' + CANARY + b'ios\nsystem\n.',
    'an old object': b'(' + named('os system') + CANARY + b'o',
    'a new object': named('subprocess Popen') + CANARY + b'\x85\x81',
    'with names': named('subprocess Popen') + b')}\x92',
    'a state': named('argparse Namespace') + b')\x81}' + text('a') + b'K\x01sb',
    'a state of slots': named('argparse Namespace') + b')\x81N}' + text('__class__') + b'Ns\x86b',
    'a state of a list': b']}b',
    'a state of a set': named('builtins set') + b')R}b',
    'items of what is none': named('os environ') + text('PATH') + text('') + b's',
    'from a registry': b'\x82\x01',
    'storages of bytes': named('torch.storage _load_from_bytes') + b'C\x01a\x85R',
    'an object array': named('numpy dtype') + text('O8') + b'\x89\x88\x87R',
    'a structured one': named('numpy dtype') + text('V8') + b'\x89\x88\x87R',
    'a number of no bytes': named('numpy.core.multiarray scalar')
    + named('numpy dtype')
    + text('f8')
    + b'\x89\x88\x87RC\x00\x86R',
    'a tensor of nothing': named('torch._utils _rebuild_tensor_v2') + b')R',
    'a tensor of a text': named('torch._utils _rebuild_tensor_v2') + b'(' + text('a') + b'K\x00))tR',
    'a tensor by another function': named('torch._tensor _rebuild_from_type_v2') + named('builtins set') + b'N))tR',
    'a parameter of a class': named('torch._utils _rebuild_parameter') + named('os system') + b'\x85R',
    'a device of none': named('torch device') + text('nothing:x') + b'\x85R',
    'a name alone': named('torch._utils _rebuild_tensor_v2'),
    'a container that holds itself': b']q\x00h\x00a',
    'a call of a value': b']]R',
    'all memory': b']r\xff\xff\xff\x7f',
    'all memory, as text': b']p9999999999\n',
}  # fmt: skip


def test_no_program_runs_or_gives_anything(tmp_path, monkeypatch):
    """As a file each is refused in a sentence; within one the rest is read, or the file is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(copyreg, '_inverted_registry', {1: ('posix', 'system')})
    wrong = []
    for name, program in NOTHING.items():
        for within, pickled in ((False, program), (True, b'}' + text('a') + program + b's')):
            write_zip(tmp_path / 'x', b'\x80\x04' + pickled + b'.')
            with suppress(CheckpointError):
                found = read_checkpoint(str(tmp_path / 'x'))
                if not within or found != {}:
                    wrong.append((name, within, found))
        if [path.name for path in tmp_path.iterdir()] != ['x']:
            wrong.append((name, 'ran'))
    assert not wrong


def test_what_the_table_gives_makes_data_and_cannot_be_changed():
    """By a state a pickle sets attributes, of functions and classes too."""
    plain = (complex, set, frozenset, torch.Size, torch.device, OrderedDict, Counter)
    for name, value in NAMES.items():
        is_ours = getattr(value, '__module__', '') == 'mmgcvit.checkpoints.torch_files'
        assert is_ours or value in plain or isinstance(value, torch.dtype), name
    known = [*NAMES.values(), torch.UntypedStorage, torch.FloatStorage, Inert, NumberType]
    before = [dict(getattr(value, '__dict__', {})) for value in known]
    defaults = [getattr(value, '__defaults__', None) for value in NAMES.values()]
    for name in (*NAMES, *UNTYPED, 'torch.FloatStorage', 'os.system'):
        for attribute in ('x', '__defaults__', '__setstate__'):
            for state in (b'}' + text(attribute) + b')s', b'N}' + text(attribute) + b')s\x86'):
                for made in (b'', b')R'):
                    with suppress(Exception):
                        read(b'\x80\x04' + named(' '.join(name.rsplit('.', 1))) + made + state + b'b.')
    assert [dict(getattr(value, '__dict__', {})) for value in known] == before
    assert [getattr(value, '__defaults__', None) for value in NAMES.values()] == defaults


def test_keys_are_plain_and_a_number_makes_no_bytes():
    assert read(pickle.dumps({(1, 2): 3, 'a': {(1,): 2}}, 2)) == {'a': {}}
    assert read(b'\x80\x02' + named('builtins bytearray') + b'\x8a\x05\x00\x00\x00\x00\x20\x85R.') == b''


def write_zip(path, program, numbers=bytes(24)):
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('x/data.pkl', program)
        file.writestr('x/version', '3')
        file.writestr('x/data/0', numbers)


def tensor(offset=0, size=(2, 3), stride=(3, 1), count=6, kind='FloatStorage', key='0'):
    def numbers(values):
        return b'(' + b''.join(b'\x8a\x08' + struct.pack('<q', value) for value in values) + b't'

    storage = b'(' + text('storage') + named(f'torch {kind}') + text(key) + text('cpu') + numbers([count])[1:-1] + b'tQ'
    shape = numbers([offset])[1:-1] + numbers(size) + numbers(stride)
    return b'\x80\x02' + named('torch._utils _rebuild_tensor_v2') + b'(' + storage + shape + b'\x89}tR.'


def test_a_tensor_lies_within_its_storage_which_is_as_large_as_its_numbers(tmp_path):
    numbers = torch.arange(6.0).numpy().tobytes()
    write_zip(tmp_path / 'x', tensor(size=(3, 2), stride=(1, 3)), numbers)
    assert read_torch(tmp_path / 'x').tolist() == [[0, 3], [1, 4], [2, 5]]
    accepted = []
    for description in (
        *({'offset': 1}, {'offset': -1}, {'size': (3, 3)}, {'stride': (4, 1)}, {'stride': (-3, 1)}, {'size': (2,)}),
        *({'size': (2**40, 2**40)}, {'size': (10**9, 10**9), 'stride': (0, 0)}, {'size': (7,), 'stride': (0,)}),
        *({'count': 7}, {'count': 2**40}, {'count': -6}, {'kind': 'DoubleStorage'}, {'key': '1'}, {'key': '../0'}),
        *({'kind': 'QInt8Storage'}, {'kind': 'nothing'}),
    ):
        write_zip(tmp_path / 'x', tensor(**description), numbers)
        with suppress(CheckpointError):
            accepted.append((description, read_torch(tmp_path / 'x')))
    assert not accepted


def test_a_file_before_zip_is_neither_unpacked_nor_are_modules_looked_at(tmp_path, monkeypatch):
    """torch would do both: a file can be a tar archive and begin as its own; of modules it writes patches."""
    monkeypatch.chdir(tmp_path)
    begin = [BEFORE_ZIP[0], pickle.dumps(1001, 2), pickle.dumps({'little_endian': True}, 2)]
    with tarfile.open(tmp_path / 'x', 'w') as archive:
        for name in (BEFORE_ZIP[0].decode('latin-1'), 'storages'):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, '/dev/zero'
            archive.addfile(entry)
    content = (tmp_path / 'x').read_bytes().replace(BEFORE_ZIP[0].decode('latin-1').encode(), BEFORE_ZIP[0])
    module = (
        b'\x80\x02}' + text('a') + b'(' + text('module') + named('torch.nn Linear') + text('a.py') + text('b') + b'tQs.'
    )
    for file, found in (
        (content, None),
        (b''.join([*begin, module, pickle.dumps([], 2)]), {}),
        (b''.join([*begin, module, pickle.dumps(['0'], 2)]), None),
    ):
        (tmp_path / 'x').write_bytes(file)
        if found is None:
            with pytest.raises(DamagedCheckpointError):
                read_torch(tmp_path / 'x')
        else:
            assert read_torch(tmp_path / 'x') == found
    assert [path.name for path in tmp_path.iterdir()] == ['x']


def test_a_program_of_torchscript_is_not_run(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / 'x.pth'))
    with pytest.raises(CheckpointError, match='is a TorchScript program') as refusal:
        read_torch(tmp_path / 'x.pth')
    assert not isinstance(refusal.value, DamagedCheckpointError)


def test_objects_alone_are_named_and_said_to_be_no_data(tmp_path):
    for content in (RunsACommand(tmp_path / 'ran'), [nn.Linear(1, 1)], np.arange(3)):
        torch.save(content, tmp_path / 'x.pth')
        with pytest.raises(CheckpointError, match=r'it holds \S+, which could run code.*--trust-checkpoint'):
            read_torch(tmp_path / 'x.pth')
    assert not (tmp_path / 'ran').exists()


SAVED = io.BytesIO()
torch.save({'state_dict': TENSORS, **DATA, **LEFT_OUT}, SAVED)
OLD = io.BytesIO()
torch.save({'state_dict': TENSORS, **DATA, **LEFT_OUT}, OLD, _use_new_zipfile_serialization=False)
PICKLE = zipfile.ZipFile(SAVED).read('archive/data.pkl')


def changed(content, changes):
    """Bytes with some replaced, put in or taken out."""
    content = bytearray(content)
    for place, kind, value in changes:
        place = int(place * (len(content) - 1))
        content[place : place + (kind != 'in')] = b'' if kind == 'out' else bytes([value])
    return bytes(content)


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(['in', 'out', 'other']), st.integers(0, 255)), min_size=1)


@given(CHANGES)
@settings(max_examples=150, deadline=None)
def test_whatever_is_changed_in_a_file_it_is_read_or_refused_in_a_sentence(changes):
    check_is_read_or_refused(changes)


@pytest.mark.long
@given(CHANGES)
@settings(max_examples=5_000, deadline=None)
def test_so_five_thousand_times(changes):
    check_is_read_or_refused(changes)


def check_is_read_or_refused(changes):
    program = changed(PICKLE, changes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'x.pth'
        with zipfile.ZipFile(SAVED) as archive, zipfile.ZipFile(path, 'w') as file:
            for name in archive.namelist():
                file.writestr(name, program if name.endswith('data.pkl') else archive.read(name))
        for content in (path.read_bytes(), changed(SAVED.getvalue(), changes), changed(OLD.getvalue(), changes)):
            path.write_bytes(content)
            with suppress(CheckpointError):
                check_is_data(read_torch(path))


def check_is_data(value):
    assert not isinstance(value, Inert)
    assert not callable(value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            check_is_data(item)
