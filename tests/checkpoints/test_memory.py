"""Reading a file takes no more memory than its size accounts for, whatever it says of itself."""

import numpy as np
import pytest
import torch

from mmgcvit.checkpoints import CheckpointError, read_checkpoint
from mmgcvit.checkpoints.reading import LARGEST_HEADER, read_safetensors

from . import bombs

COPYING = [name for name in bombs.BOMBS if ' copied to ' in name]


@pytest.mark.parametrize('name', [pytest.param(n, marks=() if n in COPYING else pytest.mark.slow) for n in bombs.BOMBS])
def test_memory_is_bounded_by_the_size_of_the_file(name, tmp_path):
    file = tmp_path / 'x.pth'
    file.write_bytes(bombs.BOMBS[name]())
    memory, answer = bombs.reading(file)
    assert bombs.is_bounded(memory, file.stat().st_size), f'{memory >> 20} MB; {answer}'
    if name in COPYING:
        assert 'more memory than its size accounts for' in answer


@pytest.mark.parametrize('protocol', [2, 5])
def test_arrays_that_are_most_of_a_file_are_read(protocol, tmp_path):
    """What a file holds once may be made of it, by each of the steps that its writer took."""
    logged = np.random.default_rng(0).random(8 << 20)
    torch.save({'log': logged, 'raw': bytearray(logged[: 1 << 20])}, tmp_path / 'x.pth', pickle_protocol=protocol)
    found = read_checkpoint(str(tmp_path / 'x.pth'))
    assert np.array_equal(found['log'], logged)
    assert found['raw'] == bytearray(logged[: 1 << 20])


def test_a_header_of_just_the_length_that_is_allowed_is_read(tmp_path):
    (tmp_path / 'x.safetensors').write_bytes(bombs.safe(b'{}'.ljust(LARGEST_HEADER)))
    assert read_safetensors(tmp_path / 'x.safetensors') == {}


def test_a_header_without_end_is_refused(tmp_path):
    (tmp_path / 'x.safetensors').write_bytes(bombs.safe(b'{' + b' ' * LARGEST_HEADER + b'}') + bytes(8))
    with pytest.raises(CheckpointError, match='its header is larger than 10,485,760 bytes'):
        read_checkpoint(str(tmp_path / 'x.safetensors'))
