"""Pickles made up of the opcodes and names that are read, and some that must not be."""

import pickle
import pickletools
import struct

from mmgcvit.checkpoints.kinds import names_in_files

FORBIDDEN = [
    *('os system', 'posix system', 'builtins eval', 'builtins exec', 'builtins open', 'builtins __import__'),
    *(
        'subprocess Popen',
        'shutil rmtree',
        'torch load',
        'torch.storage _load_from_bytes',
        'torch Tensor',
        'numpy load',
    ),
    *('torch._utils _rebuild_sparse_tensor', 'torch._utils _rebuild_qtensor', 'torch._tensor _rebuild_from_type_v2'),
    *(
        'torch.nn.parameter Parameter',
        'torch.serialization _get_layout',
        'builtins object',
        'builtins list',
        'copyreg _reconstructor',
    ),
]
ALLOWED = [' '.join(name.rsplit('.', 1)) for name in names_in_files()]
OPCODES = [ord(opcode.code) for opcode in pickletools.opcodes]
TEXTS = [
    *('a', 'storage', 'cpu', '0', 'latin1', 'f8', 'O', 'O8', '<', 'V8', 'U4', 'mean', '__class__'),
    *('_log_history', 'max_length', '_metadata'),
]
NUMBERS = [0, 1, 2, 3, 6, 255, 65536, 2**31 - 1, -1, 10**9]


def program(random, depth=0):
    """The opcodes of one value."""
    makers = [atom] if depth > 5 else [atom, atom, container, call, call, tensor, remembered, filled]
    return random.choice(makers)(random, depth)


def atom(random, depth):
    kind = random.randrange(9)
    if kind == 0:
        return random.choice([b'N', b'\x88', b'\x89', b')', b']', b'}', b'\x8f'])
    if kind <= 3:
        return b'J' + struct.pack('<i', random.choice(NUMBERS))
    if kind == 4:
        number = random.choice([2**63, 2**64, 2**200, 2**1000])
        return pickle.dumps(number, 2)[2:-1]
    if kind == 5:
        return b'G' + struct.pack('>d', random.choice([0.0, 1.0, float('nan'), float('inf'), 1e308]))
    if kind == 6:
        return name(random)
    text = random.choice(TEXTS) if random.random() < 0.9 else 'x' * 10**5
    return b'X' + struct.pack('<I', len(text)) + text.encode()


def name(random):
    names = ALLOWED if random.random() < 0.95 else FORBIDDEN
    return b'c' + random.choice(names).replace(' ', '\n').encode() + b'\n'


def values(random, depth, most=4):
    return b''.join(program(random, depth + 1) for _ in range(random.randrange(most + 1)))


def container(random, depth):
    kind = random.randrange(4)
    if kind == 0:
        return b'](' + values(random, depth) + b'e'
    if kind == 1:
        pairs = b''.join(program(random, 9) + program(random, depth + 1) for _ in range(random.randrange(4)))
        return b'}(' + pairs + b'u'
    if kind == 2:
        return b'\x8f(' + values(random, 5) + b'\x90'
    return b'(' + values(random, depth) + b't'


def call(random, depth):
    """A name called with arguments."""
    return name(random) + b'(' + values(random, depth) + b't' + random.choice([b'R', b'R', b'\x81'])


def filled(random, depth):
    """A value given a state."""
    return program(random, depth + 1) + program(random, depth + 1) + b'b'


def remembered(random, depth):
    place = bytes([random.randrange(8)])
    if random.random() < 0.4:
        return b'h' + place
    return program(random, depth + 1) + b'q' + place + random.choice([b'', b'h' + place + b'\x86'])


def tensor(random, depth):
    """Something close to what torch writes for a tensor."""

    def count():
        return b'J' + struct.pack('<i', random.choice(NUMBERS))

    def counts():
        return b'(' + b''.join(count() for _ in range(random.randrange(4))) + b't'

    kind = random.choice(['FloatStorage', 'ByteStorage', 'BoolStorage', 'HalfStorage']).encode()
    storage = b'(X\x07\x00\x00\x00storagectorch\n' + kind + b'\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu'
    described = storage + count() + b'tQ' + count() + counts() + counts()
    return b'ctorch._utils\n_rebuild_tensor_v2\n(' + described + b'\x89ccollections\nOrderedDict\n)RtR'
