"""Files made of whole ones: bytes, pickles in whole archives, and contents changed; and pickles made up."""

import io
import pickletools
import zipfile

import numpy as np
import torch

from mmgcvit.checkpoints import add_digest, read_checkpoint

from . import made_up

INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]
HOSTILE_KEYS = [1, None, b'bytes', 'a\x1b[2Jb', 'x' * 5000, '']


def changed_bytes(seed, target, random):
    """A copy of a file that differs in bytes; its digest, in it or beside it, is the whole one's."""
    content = bytearray(seed.read_bytes())
    for _ in range(random.choice([1, 1, 1, 2, 8])):
        change_bytes(content, random)
    target.write_bytes(content)
    record = seed.with_name(f'{seed.name}.sha256')
    if record.exists():
        target.with_name(f'{target.name}.sha256').write_text(record.read_text())


def change_bytes(content, random):
    """One change in place."""
    if not content:
        return
    place, length = random.randrange(len(content)), random.choice([1, 4, 64, 4096, 65536])
    # Structure lies at the ends of files, and is hit too seldom by chance.
    place = random.choice([place, place % 4096, len(content) - 1 - place % min(4096, len(content))])
    kind = random.randrange(8)
    if kind <= 1:
        content[place] ^= 1 << random.randrange(8)
    elif kind == 2:
        content[place] = random.randrange(256)
    elif kind == 3:
        del content[place:]
    elif kind == 4:
        content[place : place + length] = bytes(len(content[place : place + length]))
    elif kind == 5:
        del content[place : place + length]
    elif kind == 6:
        content[place:place] = content[place : place + length] or b'\0'
    else:
        size = random.choice([1, 2, 4, 8])
        content[place : place + size] = (random.choice(INTERESTING) % 256**size).to_bytes(size, 'little')


def changed_pickle(seed, target, random):
    """An archive whose pickle was changed and whose checksums and digest are right, as an attacker makes it."""
    with zipfile.ZipFile(seed) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    (name,) = [name for name in entries if name.endswith('/data.pkl')]
    pickled = bytearray(entries[name])
    starts = [position for _, _, position in pickletools.genops(bytes(pickled))]
    for _ in range(random.choice([1, 1, 2, 4])):
        place = random.choice(starts) if random.random() < 0.7 else random.randrange(len(pickled))
        if place >= len(pickled):
            continue
        kind = random.randrange(5)
        if kind == 0:
            pickled[place] = random.choice(made_up.OPCODES)
        elif kind == 1:
            pickled[place:place] = made_up.program(random)
        elif kind == 2:
            pickled[place] ^= 1 << random.randrange(8)
        elif kind == 3:
            del pickled[place : place + random.choice([1, 2, 8, 64])]
        else:
            other = random.choice(starts)
            pickled[place:place] = entries[name][other : other + random.choice([1, 4, 32])]
    write_archive({**entries, name: bytes(pickled)}, target, random)


def made_up_pickle(seed, target, random):
    """An archive, or a row of pickles, around a pickle built from the names and opcodes that are read."""
    pickled = b'\x80\x02' + made_up.program(random) + b'.'
    if random.random() < 0.2:
        buffer = io.BytesIO()
        torch.save({}, buffer, _use_new_zipfile_serialization=False)
        rest = buffer.getvalue()
        empty = rest.index(b'\x80\x02}q\x00.', 100)
        target.write_bytes(rest[:empty] + pickled + rest[empty + 6 :])
        return
    numbers = bytes(random.choice([0, 4, 24, 4096]))
    write_archive({'x/data.pkl': pickled, 'x/data/0': numbers, 'x/version': b'3\n'}, target, random)


def write_archive(entries, target, random):
    """A zip archive, now and then one that torch would not write."""
    compression = zipfile.ZIP_DEFLATED if random.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, 'w', compression) as archive:
        for name, content in entries.items():
            if random.random() < 0.01:
                content = bytes(1 << 24)
            archive.writestr(name, content)
    if random.random() < 0.7:
        add_digest(target)


def changed_content(seed, target, random):
    """A file that is whole, and whose content is not what it should be."""
    content = read_checkpoint(str(seed))
    for _ in range(random.choice([1, 1, 2])):
        change_content(content, random)
    torch.save(content, target)
    add_digest(target)


def change_content(content, random):
    """Change, remove or add something at a random place of nested dicts and lists."""
    at = content
    while isinstance(at, dict | list) and len(at):
        key = random.choice(list(at)) if isinstance(at, dict) else random.randrange(len(at))
        inner = at[key]
        if not isinstance(inner, dict | list) or not len(inner) or random.random() < 0.25:
            break
        at = inner
    else:
        return
    kind = random.randrange(6)
    if kind == 0 and isinstance(at, dict):
        del at[key]
    elif kind == 1 and isinstance(at, dict):
        at[random.choice(HOSTILE_KEYS)] = at.pop(key)
    else:
        at[key] = hostile_value(inner, random)


def hostile_value(value, random):
    """Something else in the place of a value, often something close."""
    if isinstance(value, torch.Tensor) and random.random() < 0.8:
        return random.choice(
            [
                lambda: value * float('nan') if value.is_floating_point() else value,
                lambda: value.flatten()[: value.numel() // 2],
                lambda: value[None],
                lambda: value.double(),
                lambda: value.to(torch.int8),
                lambda: value.to(torch.complex64),
                lambda: torch.zeros(random.randrange(51), value.shape[-1] if value.ndim else 1),
                lambda: torch.zeros(0),
                lambda: torch.full_like(value, 1e38) if value.is_floating_point() else -value,
                lambda: torch.tensor(3.0),
            ]
        )()
    return random.choice(
        [
            *(None, -(10**6), 10**9, 2**200, 1e308, float('nan'), 'text', 'a\x1b]0;x\x07', b'x', (), [], {}, True),
            *([1, 2, 3], {'a': 1}, torch.zeros(3), np.zeros(3), np.float64(1), [[]] * 1000, -1, 0, [value], {1: value}),
        ]
    )


MUTATIONS = {
    changed_bytes: ('run.pth', 'plain.pth', 'before_zip.pth', 'weights.safetensors'),
    changed_pickle: ('run.pth', 'plain.pth'),
    made_up_pickle: ('plain.pth',),
    changed_content: ('run.pth', 'plain.pth'),
}
