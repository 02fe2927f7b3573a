"""Crafted files that stand for more memory than they are long, and what reading each takes.

``python -m tests.checkpoints.bombs`` reads each in a process of its own and prints a table.
"""

import io
import json
import struct
import tempfile
import zipfile
from pathlib import Path

import safetensors.torch  # noqa: F401  (what the first reading would import is no file's affair)
import torch
from rich.console import Console
from rich.table import Table

from mmgcvit.checkpoints import CheckpointError, read_checkpoint

from .. import fork_server
from ..memory import grown_by

MB = 1 << 20
# What reading a file may take: so much, and so many times its size.
FIXED = 256 * MB
TIMES_ITS_SIZE = 8


def named(module, name):
    return f'c{module}\n{name}\n'.encode()


def text(content):
    return b'X' + struct.pack('<I', len(content)) + content


def raw(content):
    return b'B' + struct.pack('<I', len(content)) + content


def number(value):
    return b'\x8a\x08' + struct.pack('<q', value)


def numbers(*values):
    return b'(' + b''.join(map(number, values)) + b't'


def many(what, count):
    """A list of many of the same."""
    return b'](' + what * count + b'e'


def calls(name, arguments, count):
    """Many calls of a name with the same arguments, six bytes each."""
    return name + b'q\x00' + arguments + b'q\x01' + many(b'h\x00h\x01R', count) + b'\x87'


def archive(pickled, content=bytes(24), compression=zipfile.ZIP_STORED):
    """A zip archive as torch writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', compression) as zip_file:
        zip_file.writestr('x/data.pkl', b'\x80\x04' + pickled + b'.')
        zip_file.writestr('x/data/0', content)
    return file.getvalue()


def before_zip(pickled):
    """The row of pickles that torch wrote before it took archives."""
    file = io.BytesIO()
    torch.save({}, file, _use_new_zipfile_serialization=False)
    return file.getvalue().replace(b'\x80\x02}q\x00.', b'\x80\x04' + pickled + b'.', 1)


def tensor(count, size, stride):
    """The arguments of a tensor of bytes."""
    storage = (
        b'(' + text(b'storage') + named('torch', 'ByteStorage') + text(b'0') + text(b'cpu') + number(count) + b'tQ'
    )
    return b'(' + storage + number(0) + numbers(size) + numbers(stride) + b'\x89}t'


TENSOR = named('torch._utils', '_rebuild_tensor_v2')
BYTE_ARRAY, PATH = named('builtins', 'bytearray'), named('pathlib', 'PosixPath')
ORDERED_DICT = named('collections', 'OrderedDict')
LIST = b'(' + b''.join(b'M' + struct.pack('<H', value) for value in range(50_000))
NUMPY_BYTE = (
    named('numpy', 'dtype') + text(b'u1') + b'\x89\x88\x87R(K\x03' + text(b'|') + b'NNN' + b'J\xff\xff\xff\xff' * 2
)
ARRAY = b'(' + raw(bytes(MB)) + NUMPY_BYTE + b'K\x00tb' + number(MB) + b'\x85' + text(b'C') + b't'


def tensors(count, length):
    """Tensors that are all of the same storage."""
    return calls(TENSOR, tensor(length, length, 1), count)


def options(count, names):
    """Many options of a command line with the same state."""
    state = b'}(' + b''.join(text(b'%06d' % value) + b'K\x00' for value in range(names)) + b'u'
    return named('argparse', 'Namespace') + b'q\x00' + state + b'q\x01' + many(b'h\x00)\x81h\x01b', count) + b'\x87'


def versions(count, names):
    """Many state dicts with the same versions of modules."""
    modules = b''.join(text(b'%06d' % value) + b'}' + text(b'version') + b'K\x01s' for value in range(names))
    state = b'}' + text(b'_metadata') + b'}(' + modules + b'us'
    return ORDERED_DICT + b'q\x00' + state + b'q\x01' + many(b'h\x00)Rh\x01b', count) + b'\x87'


def shared_ten_times(levels):
    """Lists of ten times the list before."""
    return b'(](NNNNNNNNNNe' + b''.join(b'q%c](' % level + b'h%c' % level * 10 + b'e' for level in range(levels)) + b't'


def declared(length):
    """An archive whose directory says that an entry is larger than the file."""
    content = archive(b'N')
    place = content.index(b'PK\x01\x02') + 20
    return content[:place] + struct.pack('<2L', length, length) + content[place + 8 :]


def overlapping(entries, length):
    """Entries that all have the same bytes: a zip bomb that needs no compression."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as zip_file:
        zip_file.writestr('x/data.pkl', bytes(length))
        (first,) = zip_file.infolist()
        for count in range(entries):
            entry = zipfile.ZipInfo(f'x/data/{count}')
            entry.CRC, entry.compress_size, entry.file_size = first.CRC, length, length
            entry.header_offset = first.header_offset
            zip_file.filelist.append(entry)
    return file.getvalue()


def directory(entries):
    """An archive that is nothing but a directory of empty entries."""
    row = struct.Struct('<4s4B4HL2L5H2L').pack(b'PK\x01\x02', 20, 3, 20, *[0] * 4, 33, *[0] * 3, 8, *[0] * 6)
    rows = b''.join(row + b'x/%06x' % count for count in range(entries))
    head = archive(b'N')[:40]
    end_64 = struct.pack('<4sQ2H2L4Q', b'PK\x06\x06', 44, 45, 45, 0, 0, entries, entries, len(rows), len(head))
    locator = struct.pack('<4sLQL', b'PK\x06\x07', 0, len(head) + len(rows), 1)
    end = struct.pack('<4s4H2LH', b'PK\x05\x06', 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return head + rows + end_64 + locator + end


def safe(header):
    """A safetensors file without numbers."""
    return struct.pack('<Q', len(header)) + header


def empty_tensors(count):
    entry = {'dtype': 'F32', 'shape': [0], 'data_offsets': [0, 0]}
    return safe(json.dumps({f'{name:x}': entry for name in range(count)}, separators=(',', ':')).encode())


def of_length(count):
    return safe(b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (count, count))


def long_shape(count):
    return safe(b'{"a":{"dtype":"F32","shape":[0' + b',0' * count + b'],"data_offsets":[0,0]}}')


BOMBS = {
    '512 MB of zeros, compressed': lambda: archive(b'N', bytes(512 * MB), zipfile.ZIP_DEFLATED),
    '1,000 entries on the same 10 MB': lambda: overlapping(1000, 10 * MB),
    'an entry declared as 4 GB': lambda: declared(0xFFFFFFFE),
    'a directory of 1,000,000 entries': lambda: directory(1_000_000),
    'a storage declared as 1 TB': lambda: archive(TENSOR + tensor(1 << 40, 1 << 40, 1) + b'R'),
    'a tensor of 1 TB with a stride of 0': lambda: archive(TENSOR + tensor(24, 1 << 40, 0) + b'R'),
    '80,000 tensors on the same 10 MB': lambda: archive(tensors(80_000, 10 * MB), bytes(10 * MB)),
    '499,000 sets': lambda: archive(many(b'\x8f', 499_000)),
    '20,000,000 sets': lambda: archive(many(b'\x8f', 20_000_000)),
    '20,000,000 sets, before zip archives': lambda: before_zip(many(b'\x8f', 20_000_000)),
    '160,000 ordered dicts': lambda: archive(ORDERED_DICT + b'q\x00' + many(b'h\x00)R', 160_000) + b'\x86'),
    '160,000 numbers in tuples in tuples': lambda: archive(many(b'G?\xf0\0\0\0\0\0\x01\x85\x85', 160_000)),
    '240,000 lists in lists': lambda: archive(b']' * 240_000 + b'a' * 239_999),
    '10**31 items by sharing': lambda: archive(shared_ten_times(30)),
    'a whole number of 128,000,000 bits': lambda: archive(b'\x8b' + raw(b'\x01' * 16 * MB)[1:]),
    'a whole number of 16,000,000 digits': lambda: archive(b'I' + b'9' * 16_000_000 + b'\n'),
    'a text of 32 MB with one wide character': lambda: archive(text(b'a' * 32 * MB + '\U0001f600'.encode())),
    'a byte array of 2 GB by its length': lambda: archive(BYTE_ARRAY + b'J\xff\xff\xff\x7f\x85R'),
    '1 MB copied to 5,000 byte arrays': lambda: archive(calls(BYTE_ARRAY, raw(bytes(MB)) + b'\x85', 5000)),
    '1 MB copied to 5,000 arrays': lambda: archive(calls(named('numpy._core.numeric', '_frombuffer'), ARRAY, 5000)),
    '50,000 items copied to 2,000 sets': lambda: archive(calls(named('builtins', 'set'), b']' + LIST + b'e\x85', 2000)),
    '50,000 lengths copied to 10,000 shapes': lambda: archive(calls(named('torch', 'Size'), LIST + b't\x85', 10_000)),
    '1 MB copied to 5,000 paths': lambda: archive(calls(PATH, text(b'a/' * (MB // 2)) + b'\x85', 5000)),
    '20,000 names copied to 2,000 options': lambda: archive(options(2000, 20_000)),
    '20,000 versions copied to 1,000 state dicts': lambda: archive(versions(1000, 20_000)),
    'safetensors of 1,000,000 empty tensors': lambda: empty_tensors(1_000_000),
    'safetensors of 185,000 empty tensors': lambda: empty_tensors(185_000),
    'safetensors, a shape of 5,000,000 lengths': lambda: long_shape(5_000_000),
    'safetensors declared as 1 TB': lambda: of_length(1 << 40),
    'safetensors, 1,000,000 levels': lambda: safe(b'{"__metadata__":' + b'[' * 1_000_000 + b']' * 1_000_000 + b'}'),
}  # fmt: skip


def reading(path):
    """How far a new process grows that reads a file, bytes, and what came of it."""
    fork_server.ensure_running()
    with fork_server.CONTEXT.Pool(1) as pool:
        return pool.apply(reading_here, (path,))


def reading_here(path):
    answers = []

    def read():
        try:
            read_checkpoint(str(path))
            answers.append('read')
        except CheckpointError as error:
            answers.append(str(error).replace(f'{path} ', ''))

    return grown_by(read), answers[0]


def is_bounded(memory, size):
    return memory <= FIXED + TIMES_ITS_SIZE * size


def main():
    table = Table('', 'file', 'memory', 'answer')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'x.pth'
        for name, make in BOMBS.items():
            path.write_bytes(make())
            memory, answer = reading(path)
            size = path.stat().st_size
            beyond = '' if is_bounded(memory, size) else 'BEYOND THE BOUND: '
            table.add_row(name, f'{size / MB:.1f} MB', f'{memory / MB:.0f} MB', f'{beyond}{answer[:60]}')
    Console().print(table)


if __name__ == '__main__':
    main()
