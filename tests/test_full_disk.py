"""Where a disk is full, at whatever page: a file is there whole or not at all, and once there is room it is written."""

import ctypes
import os
import shutil

import numpy as np
import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints.integrity import save_whole_safetensors
from mmgcvit.errors import UserError
from mmgcvit.files import write_image
from mmgcvit.inference.outputs import write_json

PAGE = 4096  # what a file takes of a disk is a number of them
DISK = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
GCVIT = {'embed_dims': 4, 'depths': (1, 1, 1, 1), 'num_heads': (1, 1, 1, 1), 'mlp_ratio': 2.0}


@pytest.fixture
def disk(tmp_path):
    """A folder with a megabyte of room."""
    if LIBC.mount(b'tmpfs', str(tmp_path).encode(), b'tmpfs', 0, f'size={DISK}'.encode()):
        pytest.skip(f'no disk can be mounted here: {os.strerror(ctypes.get_errno())}')
    yield tmp_path
    LIBC.umount2(str(tmp_path).encode(), 2)


def save_pretrained(folder, built):
    built.save_pretrained(folder)


def publish(folder, built):
    save_whole_safetensors(built.state_dict(), folder / 'model.safetensors', {'format': 'pt'})


def export(folder, built):
    pytest.importorskip('onnx')
    from mmgcvit.export.writing import trace, written_whole

    with written_whole(folder / 'model.onnx') as unfinished:
        trace(torch.nn.Conv2d(3, 64, 8), {'map': {0: 'batch', 2: 'height', 3: 'width'}}, {'task': 'x'}, unfinished)


def predict(folder, built):
    write_image(folder / 'drawn.png', NOISE)
    write_json(folder / 'images.json', ['x' * 999] * 5)


@pytest.mark.parametrize('write', [save_pretrained, publish, export, predict])
def test_what_a_disk_has_no_room_for_is_not_there_and_the_next_call_writes_it(write, disk):
    torch.manual_seed(0)
    built, out, filler = GCViT(GCVIT, window_size=2), disk / 'out', disk / 'filler'

    def sizes():
        return {path.name: path.stat().st_size for path in out.rglob('*')}

    write(out, built)
    whole, said = sizes(), []
    for pages in range(DISK // PAGE):
        shutil.rmtree(out)
        with filler.open('wb') as file:
            os.posix_fallocate(file.fileno(), 0, (os.statvfs(disk).f_bavail - pages) * PAGE)
        try:
            write(out, built)
        except (OSError, UserError) as error:
            said.append(str(error))
        filler.unlink()
        if len(said) == pages:
            break
        # Of files that do not belong together those before; none is cut, and nothing has another name.
        left = sizes()
        assert left.items() <= whole.items(), pages
        assert write not in (save_pretrained, publish) or not left, pages
        write(out, built)
        assert sizes() == whole, pages
    assert sizes() == whole
    assert len(said) >= sum(whole.values()) // PAGE
    for sentence in said:
        assert 'No space left' in sentence or 'is there room on the disk?' in sentence
