"""Readers of mutated and crafted files return valid content or raise this project's error, and run
nothing.
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
from mmgcvit.datasets.decoding import DecodingSettings, read_segmentation_map, read_sizes
from mmgcvit.datasets.rules.coco import find_missing_keys, read_json
from mmgcvit.datasets.rules.images import check_image
from mmgcvit.errors import CheckpointError, UserError
from mmgcvit.inference.inputs import convert_to_array
from mmgcvit.registry import list_networks

MAX_SECONDS = 60
FORBIDDEN = (
    'os.system',
    'os.exec',
    'os.fork',
    'os.posix_spawn',
    'subprocess.Popen',
    'ctypes.dlopen',
    'socket.connect',
)
FORBIDDEN += ('os.remove', 'os.rename', 'os.link', 'os.symlink', 'os.mkdir', 'shutil.rmtree')
PLAIN = (dict, list, tuple, set, str, bytes, bytearray, int, float, complex, type(None))
PLAIN += (Tensor, torch.dtype, torch.device)
events = {'are_watched': False, 'seen': []}


def watch(event, args):
    if not events['are_watched']:
        return
    is_written = (
        event == 'open'
        and isinstance(args[2], int)
        and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )
    is_new_code = (
        event == 'exec'
        and not Path(args[0].co_filename).exists()
        and 'frozen' not in args[0].co_filename
    )
    if event in FORBIDDEN or is_written or is_new_code:
        events['seen'].append((event, str(args)[:200]))


sys.addaudithook(watch)  # cannot be removed


@contextmanager
def nothing_runs(folder):
    """Check that the code within runs no code, writes no file and ends soon."""
    before, start = sorted(folder.iterdir()), time.monotonic()
    events.update(are_watched=True, seen=[])
    try:
        yield
    finally:
        events['are_watched'] = False
    assert events['seen'] == []
    assert sorted(folder.iterdir()) == before
    assert time.monotonic() - start < MAX_SECONDS


@pytest.fixture(params=[100, pytest.param(400, marks=pytest.mark.long)])
def runs(request):
    """Return the number of examples of each property: in make test, and in make test-all."""
    return request.param


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Change to an empty folder, in which the code of crafted files would write."""
    monkeypatch.chdir(tmp_path)
    list_networks()  # which imports them
    return tmp_path


@st.composite
def mutations(draw, content):
    """Flip, cut, insert, remove and repeat bytes of one of several files."""
    content = bytearray(draw(st.sampled_from(content)))
    for kind in draw(
        st.lists(
            st.sampled_from(['flip', 'cut', 'insert', 'remove', 'repeat']), min_size=1, max_size=4
        )
    ):
        start = draw(st.integers(0, max(0, len(content) - 1)))
        end = start + draw(st.integers(1, 40))
        if kind == 'flip' and content:
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == 'cut':
            del content[start:]
        elif kind == 'remove':
            del content[start:end]
        else:
            content[start:start] = (
                content[start:end] if kind == 'repeat' else draw(st.binary(max_size=40))
            )
    return bytes(content)


def run_property(check, strategy, runs, *examples):
    """Run ``check`` on generated inputs, and on some that are always tried."""
    for value in examples:
        check = example(value)(check)
    settings(max_examples=runs, deadline=None)(given(strategy)(check))()


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
    seen, rest = set(), [value]
    while rest:
        value = rest.pop()
        assert isinstance(value, PLAIN), type(value)
        if id(value) not in seen and isinstance(value, (dict, list, tuple, set)):
            seen.add(id(value))
            rest += [*value.keys(), *value.values()] if isinstance(value, dict) else value


def read_all(written, folder):
    """Read the bytes of a checkpoint in every way.

    Return its content, or None if it is rejected with one line.
    """
    Path('x').write_bytes(written)
    content = None
    with nothing_runs(folder):
        for read in (read_checkpoint, read_for_mmengine):
            with one_line_error(CheckpointError):
                found = read('x')
                check_plain(found.content if read is read_for_mmengine else found)
                content = found if read is read_checkpoint else content
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


def test_a_mutated_torch_file_has_equal_content_or_is_rejected(runs, folder):
    """Checksums detect each change of a record. Only padding, dates and the like may change."""

    def check(content):
        found = read_all(content, folder)
        if found is not None:
            assert found['meta'] == WEIGHTS['meta']
            assert all(
                torch.equal(found['state_dict'][name], x)
                for name, x in WEIGHTS['state_dict'].items()
            )

    whole = save_bytes(torch.save, WEIGHTS)
    # torch does not read records that a bit of the zip file's directory says to be folders.
    folders = bytearray(whole)
    position = folders.find(b'PK\x01\x02')
    while position > 0:
        folders[position + 38] ^= 0x10
        position = folders.find(b'PK\x01\x02', position + 1)
    assert read_all(bytes(folders), folder) is None
    run_property(check, mutations([whole]), runs, whole)


def test_a_mutated_file_without_checksums_is_data_or_rejected(runs, folder):
    """Archives whose code torch would run are rejected."""
    archives = [
        save_bytes(write_tar),
        save_bytes(torch.jit.save, torch.jit.script(nn.Linear(1, 1))),
    ]

    def check(content):
        assert read_all(content, folder) is None or content not in archives

    legacy = save_bytes(torch.save, WEIGHTS, _use_new_zipfile_serialization=False)
    files = [legacy, save(WEIGHTS['state_dict']), *archives]
    run_property(check, mutations(files), runs, b'', b'PK', b'\x80', *files)


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def name(value):
    return b'c' + value.replace(' ', '\n').encode() + b'\n'


# Parts of pickles: (number of objects that it takes from the stack, number that it puts there,
# opcodes).
NAMES = [key.replace('.', ' ').replace(' ', '.', key.count('.') - 1) for key in ALLOWED]
NAMES += [
    'posix system',
    'builtins eval',
    'builtins exec',
    'builtins getattr',
    'subprocess Popen',
    'torch load',
]
NAMES += [
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
PARTS = [
    *((0, 1, name(value)) for value in NAMES),
    *((0, 1, text(value)) for value in TEXTS),
    *((0, 1, code) for code in (b'}', b']', b')', b'\x8f', b'N', b'\x88', b'K\x03', b'J\xff\xff\xff\xff', b'C\x01a')),
    *((0, 1, code) for code in (b'h\x00', b'h\x01', b'\x8a\x02\xff\x7f', b'G' + b'\x7f\xf8' + bytes(6))),
    *((1, 1, code) for code in (b'\x85', b'Q', b'\x94', SET_ATTRIBUTES)),
    (1, 2, b'2'),
    *((2, 1, code) for code in (b'\x86', b'R', b'b', b'\x81', b'a')),
    *((3, 1, code) for code in (b'\x87', b's')),
]  # fmt: skip
# A persistent id that makes torch compare a function's source code, and write it to ran.patch.
MODULE_ID = (
    b'(' + text('module') + name('builtins set') + SET_ATTRIBUTES + text('a') + text('b\n') + b'tQ'
)


def make_pickle(parts):
    """Join the parts that find enough objects on the stack, and put all that is left into one
    tuple.
    """
    pickled, depth = b'', 0
    for needed, given_back, code in parts:
        if needed <= depth:
            pickled, depth = pickled + code, depth - needed + given_back
    return b'\x80\x04' + (pickled or b'N') + b'\x86' * (depth - 1) + b'.'


def make_files(pickled, others=()):
    """Return a zip file and a legacy file with a pickle.

    ``others`` are names of more records of the zip file.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        records = {
            'data.pkl': pickled,
            'byteorder': b'little',
            'version': b'3',
            **dict.fromkeys(others, b'3'),
        }
        for record, content in records.items():
            archive.writestr(f'x/{record}', content)
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {})]
    return file.getvalue(), b''.join([*head, pickled, pickle.dumps([], 2)])


def nest(depth, opened, closed=b'', base=b'N'):
    return b'\x80\x04' + opened * depth + base + closed * depth + b'.'


CRAFTED = [
    b'\x80\x04' + MODULE_ID + b'.',
    nest(60, b'', b'2\x86'),  # tuples of twice the one before
    nest(60, b'', b'\x940' + b'](h\x00h\x00e'),  # also lists, which refer to the first
    nest(100_000, b'](', b'e'),
    b'\x80\x04}\x94' + text('a') + b'h\x00s.',  # a dict that contains itself
]


def test_a_crafted_pickle_is_data_or_rejected(runs, folder):
    records = st.sampled_from(
        ['constants.pkl', 'code/x.py', 'Data.pkl', '.data/version', '.format_version', 'data/0']
    )
    pickles = st.lists(st.sampled_from(PARTS), max_size=30).map(make_pickle)

    def check(crafted):
        for content in make_files(*crafted):
            read_all(content, folder)

    run_property(
        check, st.tuples(pickles, st.lists(records)), runs, *((pickled, []) for pickled in CRAFTED)
    )


# Values of any type that JSON or a pickle can hold.
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    ATOMS,
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(TEXTS), x, max_size=3)
    ),
)


def test_entries_of_any_type_in_a_checkpoint_are_data_or_rejected(runs, folder):
    entries = st.dictionaries(
        st.sampled_from(['cfg', 'config', 'best_ckpt', 'last_ckpt_x', 'epoch']) | ATOMS, VALUES
    )
    hubs = st.dictionaries(
        st.sampled_from(['runtime_info', 'log_scalars', 'resumed_keys']), entries | VALUES
    )
    parts = {'meta': entries | VALUES, 'message_hub': hubs | VALUES, 'model': VALUES}
    contents = st.fixed_dictionaries({}, optional=parts)

    def check(content):
        Path('x').write_bytes(
            save_bytes(torch.save, {'state_dict': WEIGHTS['state_dict'], **content})
        )
        with nothing_runs(folder):
            found = read_for_mmengine('x', folder).content
        hub = found.get('message_hub')
        for entries in (found['meta'], hub.get('runtime_info') if isinstance(hub, dict) else None):
            if isinstance(entries, dict):
                assert not entries.keys() & {'cfg', 'config'}
                assert all(entries.get(name) is None for name in ('best_ckpt', 'last_ckpt_x'))

    run_property(
        check, contents, runs, {'message_hub': {'runtime_info': {'best_ckpt': 'a\0/best_x'}}}
    )


COCO = {
    'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 5, 'height': 5}],
    'annotations': [
        {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 1, 1], 'area': 1, 'iscrowd': 0}
    ],
    'categories': [{'id': 1, 'name': 'a'}],
}


def test_a_mutated_json_file_is_valid_or_one_sentence(runs, folder):
    def check(content):
        Path('config.json').write_bytes(content)
        with nothing_runs(folder):
            parsed, problem = read_json(Path('config.json'))
            missing = find_missing_keys(parsed, is_scored=True)
        assert missing or not problem
        assert missing or all(isinstance(entry, dict) for key in COCO for entry in parsed[key])

    odd = st.fixed_dictionaries(
        {key: st.lists(st.just(COCO[key][0]) | VALUES, max_size=3) | VALUES for key in COCO}
    )
    strategy = mutations([json.dumps(COCO).encode()]) | odd.map(
        lambda value: json.dumps(value).encode()
    )
    number = b'{"images":[1],"annotations":[],"categories":[]}'
    large = number.replace(b'1', b'1' * 5000)
    run_property(check, strategy, runs, b'[' * 200_000, number, large, b'\0', b'\xff')


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
FORMATS = ('PNG', 'JPEG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'JPEG2000', 'AVIF')
EPS = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(ran) (w) file closefile\n%%EOF\n'


def test_a_mutated_image_is_decoded_or_one_sentence(runs, folder):
    """All readers agree on what cannot be decoded: those of training data and of predictions."""

    def check(content):
        path = Path('x.jpg')
        path.write_bytes(content)
        with nothing_runs(folder):
            _, error, _ = check_image(path)
            assert '\n' not in error
            with one_line_error(UserError):
                image = convert_to_array('x.jpg', DecodingSettings())
                assert (error, image.ndim, image.dtype) == ('', 3, np.uint8)
            for read in (read_sizes, read_segmentation_map):
                with one_line_error(UserError):
                    read(path)

    images = [save_bytes(Image.fromarray(PIXELS).save, format=name) for name in FORMATS]
    run_property(check, mutations(images), runs, EPS)
