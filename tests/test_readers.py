"""Readers of mutated and crafted files return valid content or raise this project's error, and run
nothing.

Modules: `mmgcvit/checkpoints/reading.py`, `mmgcvit/checkpoints/safe_loading.py`,
`mmgcvit/datasets/coco_content.py`, `mmgcvit/datasets/opening.py`, `mmgcvit/datasets/decoding.py`,
`mmgcvit/predict/inputs.py`.
"""

import io
import json
import os
import pickle
import struct
import sys
import tarfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.checkpoints.safe_loading import read_for_mmengine
from mmgcvit.checkpoints.unpickling import ALLOWED
from mmgcvit.datasets.coco_content import find_missing_keys, read_json
from mmgcvit.datasets.decoding import DecodingSettings
from mmgcvit.datasets.label_maps import read_segmentation_map
from mmgcvit.datasets.opening import read_sizes
from mmgcvit.datasets.rules.images import check_image
from mmgcvit.errors import CheckpointError, UserError
from mmgcvit.predict.inputs import convert_to_array
from mmgcvit.registry import list_networks

from .datasets.checks.made import coco_content

MAX_SECONDS = 60
MANY = settings(max_examples=150)
FORBIDDEN = (
    'os.system',
    'os.exec',
    'os.fork',
    'os.posix_spawn',
    'subprocess.Popen',
    'ctypes.dlopen',
    'socket.connect',
    'os.remove',
    'os.rename',
    'os.link',
    'os.symlink',
    'os.mkdir',
    'shutil.rmtree',
)
CONTAINERS = (dict, list, tuple, set)
PLAIN = (*CONTAINERS, str, bytes, bytearray, int, float, complex, type(None), Tensor)
PLAIN += (torch.dtype, torch.device)
events = {'are_watched': False, 'seen': []}


def watch(event, args):
    if not events['are_watched']:
        return
    is_bad = event in FORBIDDEN
    if event == 'open' and isinstance(args[2], int):
        is_bad = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event == 'exec':
        name = args[0].co_filename
        is_bad = 'frozen' not in name and not Path(name).exists()
    if is_bad:
        events['seen'].append((event, str(args)[:200]))


sys.addaudithook(watch)  # cannot be removed


@contextmanager
def nothing_runs():
    """Check that the code within runs no code, writes no file and takes few of the processor's
    seconds.
    """
    before = sorted(Path().iterdir())
    start = time.process_time()
    events.update(are_watched=True, seen=[])
    try:
        yield
    finally:
        events['are_watched'] = False
    assert events['seen'] == []
    assert sorted(Path().iterdir()) == before
    assert time.process_time() - start < MAX_SECONDS


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Change to an empty folder, in which the code of crafted files would write."""
    monkeypatch.chdir(tmp_path)
    list_networks()  # which imports them


@st.composite
def mutations(draw, content):
    """Flip, cut, insert, remove and repeat bytes of one of several files."""
    content = bytearray(draw(st.sampled_from(content)))
    kinds = st.sampled_from(['flip', 'cut', 'insert', 'remove', 'repeat'])
    for kind in draw(st.lists(kinds, min_size=1, max_size=4)):
        start = draw(st.integers(0, max(0, len(content) - 1)))
        end = start + draw(st.integers(1, 40))
        if kind == 'flip' and content:
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == 'cut':
            del content[start:]
        elif kind == 'remove':
            del content[start:end]
        else:
            added = content[start:end] if kind == 'repeat' else draw(st.binary(max_size=40))
            content[start:start] = added
    return bytes(content)


def try_inputs(strategy, *always):
    """Run a test on generated inputs, and on some that are always tried."""

    def decorate(test):
        for value in always:
            test = example(value)(test)
        return MANY(given(strategy)(test))

    return decorate


@contextmanager
def one_line_error(error):
    """Ignore an error of a class if its message is one line."""
    try:
        yield
    except error as raised:
        if '\n' in str(raised):
            raise


def check_plain(value):
    """Assert that a value consists of data only, each container visited once."""
    seen = set()
    rest = [value]
    while rest:
        value = rest.pop()
        assert isinstance(value, PLAIN), type(value)
        if id(value) not in seen and isinstance(value, CONTAINERS):
            seen.add(id(value))
            rest += [*value.keys(), *value.values()] if isinstance(value, dict) else value


def read_all(written):
    """Read the bytes of a checkpoint in every way.

    Return its content, or None if it is rejected with one line.
    """
    Path('x').write_bytes(written)
    content = None
    with nothing_runs():
        with one_line_error(CheckpointError):
            check_plain(read_for_mmengine('x').content)
        with one_line_error(CheckpointError):
            content = read_checkpoint('x')
            check_plain(content)
    return content


WEIGHTS = {
    'state_dict': {'a.weight': torch.arange(60.0).reshape(2, 30), 'b': torch.ones(7)},
    'meta': {'epoch': 3},
}


def save_bytes(save, *arguments, **options):
    """Return what a function writes to a file, which comes after its arguments."""
    file = io.BytesIO()
    save(*arguments, file, **options)
    return file.getvalue()


def write_tar(file):
    """Write a file of torch 0.1, whose storages are in a file elsewhere.

    Its first byte is a pickle's.
    """
    with tarfile.open(fileobj=file, mode='w', format=tarfile.GNU_FORMAT, encoding='latin-1') as tar:
        tar.addfile(tarfile.TarInfo('\x80'))
        link = tarfile.TarInfo('storages')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        tar.addfile(link)


WHOLE = save_bytes(torch.save, WEIGHTS)
# Archives whose code torch would run.
ARCHIVES = [save_bytes(write_tar), save_bytes(torch.jit.save, torch.jit.script(nn.Linear(1, 1)))]
OTHERS = [
    save_bytes(torch.save, WEIGHTS, _use_new_zipfile_serialization=False),
    save(WEIGHTS['state_dict']),
    *ARCHIVES,
]


@try_inputs(mutations([WHOLE]), WHOLE)
def test_a_mutated_torch_file_has_equal_content_or_is_rejected(content):
    """Checksums detect each change of a record. Only padding, dates and the like may change."""
    found = read_all(content)
    if found is not None:
        assert found['meta'] == WEIGHTS['meta']
        for name, tensor in WEIGHTS['state_dict'].items():
            assert torch.equal(found['state_dict'][name], tensor)


def test_a_file_whose_records_are_marked_as_folders_is_rejected():
    """torch does not read records that a bit of the zip file's directory says to be folders."""
    entry = b'PK\x01\x02'
    first, *entries = WHOLE.split(entry)
    marked = [each[:34] + bytes([each[34] ^ 0x10]) + each[35:] for each in entries]
    assert read_all(entry.join([first, *marked])) is None


@try_inputs(mutations(OTHERS), b'', b'PK', b'\x80', *OTHERS)
def test_a_mutated_file_without_checksums_is_data_or_rejected(content):
    assert read_all(content) is None or content not in ARCHIVES


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def name(value):
    return b'c' + value.replace(' ', '\n').encode() + b'\n'


# Parts of pickles: (number of objects that it takes from the stack, number that it puts there,
# opcodes).
NAMES = [' '.join(key.rsplit('.', 1)) for key in ALLOWED]
NAMES += [
    'posix system',
    'builtins eval',
    'builtins exec',
    'builtins getattr',
    'subprocess Popen',
    'torch load',
    'torch.jit load',
    'torch.storage _load_from_bytes',
    'torch FloatStorage',
    'torch.nn Linear',
]
TEXTS = [
    'ran',
    'touch ran',
    'open("ran", "w")',
    'f8',
    'O8',
    'storage',
    'module',
    'meta',
    'state_dict',
    'cpu',
    '0',
    'a',
]
SET_ATTRIBUTES = b'N}(' + b''.join(text(x) + b'\x88' for x in ('items', 'keys', 'dump_patches'))
SET_ATTRIBUTES += text('__name__') + text('ran') + b'u\x86b'
VALUE_CODES = [*map(name, NAMES), *map(text, TEXTS), b'}', b']', b')', b'\x8f', b'N', b'\x88']
VALUE_CODES += [b'K\x03', b'J\xff\xff\xff\xff', b'C\x01a', b'h\x00', b'h\x01', b'\x8a\x02\xff\x7f']
VALUE_CODES += [b'G\x7f\xf8\x00\x00\x00\x00\x00\x00']
PARTS = [
    *((0, 1, code) for code in VALUE_CODES),
    *((1, 1, code) for code in (b'\x85', b'Q', b'\x94', SET_ATTRIBUTES)),
    (1, 2, b'2'),
    *((2, 1, code) for code in (b'\x86', b'R', b'b', b'\x81', b'a')),
    *((3, 1, code) for code in (b'\x87', b's')),
]
# A persistent id that makes torch compare a function's source code, and write it to ran.patch.
MODULE_ID = (
    b'(' + text('module') + name('builtins set') + SET_ATTRIBUTES + text('a') + text('b\n') + b'tQ'
)


def make_pickle(parts):
    """Join the parts that find enough objects on the stack, and put all that is left into one
    tuple.
    """
    pickled = b''
    depth = 0
    for needed, given_back, code in parts:
        if needed <= depth:
            pickled = pickled + code
            depth = depth - needed + given_back
    return b'\x80\x04' + (pickled or b'N') + b'\x86' * (depth - 1) + b'.'


def make_files(pickled, others=()):
    """Return a zip file and a legacy file with a pickle.

    ``others`` are names of more records of the zip file.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        records = {'data.pkl': pickled, 'byteorder': b'little', 'version': b'3'}
        for record, content in (dict.fromkeys(others, b'3') | records).items():
            archive.writestr(f'x/{record}', content)
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {})]
    return file.getvalue(), b''.join([*head, pickled, pickle.dumps([], 2)])


def nest(depth, opened, closed=b''):
    return b'\x80\x04' + opened * depth + b'N' + closed * depth + b'.'


CRAFTED = [
    b'\x80\x04' + MODULE_ID + b'.',
    nest(60, b'', b'2\x86'),  # tuples of twice the one before
    nest(60, b'', b'\x940' + b'](h\x00h\x00e'),  # also lists, which refer to the first
    nest(100_000, b'](', b'e'),
    b'\x80\x04}\x94' + text('a') + b'h\x00s.',  # a dict that contains itself
]


RECORDS = ['constants.pkl', 'code/x.py', 'Data.pkl', '.data/version', '.format_version', 'data/0']
PICKLES = st.lists(st.sampled_from(PARTS), max_size=30).map(make_pickle)


@pytest.mark.slow
@try_inputs(
    st.tuples(PICKLES, st.lists(st.sampled_from(RECORDS))), *((each, []) for each in CRAFTED)
)
def test_a_crafted_pickle_is_data_or_rejected(crafted):
    for content in make_files(*crafted):
        read_all(content)


# Values of any type that JSON or a pickle can hold.
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    ATOMS,
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(TEXTS), x, max_size=3)
    ),
)


KEYS = st.sampled_from(['cfg', 'config', 'best_ckpt', 'last_ckpt_x', 'epoch'])
ENTRIES = st.dictionaries(KEYS | ATOMS, VALUES) | VALUES
HUBS = st.dictionaries(st.sampled_from(['runtime_info', 'log_scalars', 'resumed_keys']), ENTRIES)
CONTENTS = st.fixed_dictionaries(
    {}, optional={'meta': ENTRIES, 'message_hub': HUBS | VALUES, 'model': VALUES}
)


@pytest.mark.slow
@try_inputs(CONTENTS, {'message_hub': {'runtime_info': {'best_ckpt': 'a\0/best_x'}}})
def test_entries_of_any_type_in_a_checkpoint_are_data_or_rejected(content):
    torch.save({'state_dict': WEIGHTS['state_dict'], **content}, 'x')
    with nothing_runs():
        found = read_for_mmengine('x', Path.cwd()).content
    hub = found.get('message_hub')
    for entries in (found['meta'], hub.get('runtime_info') if isinstance(hub, dict) else None):
        if isinstance(entries, dict):
            assert not entries.keys() & {'cfg', 'config'}
            assert all(entries.get(name) is None for name in ('best_ckpt', 'last_ckpt_x'))


COCO = coco_content()
ODD = st.fixed_dictionaries(
    {key: st.lists(st.just(COCO[key][0]) | VALUES, max_size=3) | VALUES for key in COCO}
)
JSON = mutations([json.dumps(COCO).encode()]) | ODD.map(lambda value: json.dumps(value).encode())
NUMBER = b'{"images":[1],"annotations":[],"categories":[]}'


@try_inputs(JSON, b'[' * 200_000, NUMBER, NUMBER.replace(b'1', b'1' * 5000), b'\0', b'\xff')
def test_a_mutated_json_file_is_valid_or_one_sentence(content):
    Path('config.json').write_bytes(content)
    with nothing_runs():
        parsed, problem = read_json(Path('config.json'))
        missing = find_missing_keys(parsed, is_scored=True)
    assert missing or not problem
    assert missing or all(isinstance(entry, dict) for key in COCO for entry in parsed[key])


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
EPS = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(ran) (w) file closefile\n%%EOF\n'


PICTURES = [
    save_bytes(Image.fromarray(PIXELS).save, format=name)
    for name in ('PNG', 'JPEG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'JPEG2000', 'AVIF')
]


@try_inputs(mutations(PICTURES), EPS)
def test_a_mutated_image_is_decoded_or_one_sentence(content):
    """All readers agree on what cannot be decoded: those of training data and of predictions."""
    path = Path('x.jpg')
    path.write_bytes(content)
    with nothing_runs():
        finding = check_image(path).finding
        error = finding.example if finding else ''
        assert '\n' not in error
        with one_line_error(UserError):
            image = convert_to_array('x.jpg', DecodingSettings())
            assert (error, image.ndim, image.dtype) == ('', 3, np.uint8)
        for read in (read_sizes, read_segmentation_map):
            with one_line_error(UserError):
                read(path)
