"""A checkpoint that was altered is not read: by its digest every byte, by the zip's own checksums every tensor's."""

import random
import subprocess
import zipfile
from functools import partial
from unittest import mock

import pytest
import torch
from safetensors.torch import save_file

from mmgcvit.checkpoints import (
    CheckpointError,
    DamagedCheckpointError,
    add_digest,
    check_whole,
    read_checkpoint,
    save_whole,
)
from mmgcvit.checkpoints.integrity import beside, digest_line

WEIGHTS = {'state_dict': {'a.weight': torch.arange(600.0).reshape(2, 300), 'b': torch.ones(7)}, 'meta': {'epoch': 3}}
before_zip = partial(torch.save, _use_new_zipfile_serialization=False)


def save_safetensors(content, path):
    save_file(content['state_dict'], path)


def same(path):
    content = read_checkpoint(str(path))
    return content['meta'] == {'epoch': 3} and torch.equal(
        content['state_dict']['a.weight'], WEIGHTS['state_dict']['a.weight']
    )


def test_what_is_saved_is_read_by_us_and_by_torch_wherever_it_is_moved(tmp_path):
    save_whole(WEIGHTS, tmp_path / 'x.pth')
    (tmp_path / 'x.pth').rename(tmp_path / 'renamed')
    before = (tmp_path / 'renamed').read_bytes()
    check_whole(tmp_path / 'renamed')
    assert same(tmp_path / 'renamed')
    for options in ({}, {'mmap': True}):
        # torch 2.1 maps only what a text names.
        content = torch.load(str(tmp_path / 'renamed'), weights_only=True, **options)
        assert torch.equal(content['state_dict']['b'], torch.ones(7))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before], 'reading writes nothing'


def test_a_file_that_was_checked_is_mapped_if_it_can_be_and_has_its_digest(tmp_path, monkeypatch):
    """What is written into its tensors stays in memory; one without may be an archive that is packed."""
    save_whole(WEIGHTS, tmp_path / 'x.pth')
    weights = read_checkpoint(str(tmp_path / 'x.pth'), checked=True)['state_dict']
    assert torch.equal(weights['a.weight'], WEIGHTS['state_dict']['a.weight'])
    weights['a.weight'].zero_()
    assert same(tmp_path / 'x.pth')
    with monkeypatch.context() as patch:
        patch.setattr('mmgcvit.checkpoints.reading.mmap', mock.Mock(side_effect=OSError(19, 'No such device')))
        patch.setattr(torch.UntypedStorage, 'from_file', None)
        weights = read_checkpoint(str(tmp_path / 'x.pth'), checked=True)['state_dict']
        assert torch.equal(weights['a.weight'], WEIGHTS['state_dict']['a.weight'])
    torch.save(WEIGHTS, tmp_path / 'y')
    with (
        zipfile.ZipFile(tmp_path / 'y') as archive,
        zipfile.ZipFile(tmp_path / 'z', 'w', zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
    weights = read_checkpoint(str(tmp_path / 'z'), checked=True)['state_dict']
    assert torch.equal(weights['a.weight'], WEIGHTS['state_dict']['a.weight'])


def flips(path, bits):
    """A file with each of these bits turned, one at a time."""
    content = bytearray(path.read_bytes())
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        yield bit
        content[bit // 8] ^= 1 << bit % 8


def is_refused(path):
    for look in (check_whole, lambda path: read_checkpoint(str(path))):
        with pytest.raises(CheckpointError):
            look(path)
    return True


def test_of_a_file_with_a_digest_no_bit_can_be_turned_unnoticed(tmp_path):
    path = tmp_path / 'x.pth'
    save_whole(WEIGHTS, path)
    size = path.stat().st_size * 8
    bits = [*random.Random(0).sample(range(size), 100), *range(size - 8 * 120, size, 11), *range(0, 64)]
    assert all(is_refused(path) for _ in flips(path, bits))


def test_of_a_file_without_one_no_bit_of_its_content_can(tmp_path):
    """What can be turned are dates, padding and the like: such a file holds what it held."""
    path = tmp_path / 'x.pth'
    torch.save(WEIGHTS, path)
    bits = random.Random(0).sample(range(path.stat().st_size * 8), 200)
    refused = 0
    for _ in flips(path, bits):
        try:
            assert same(path)
        except CheckpointError:
            refused += 1
    assert refused > 100


def test_what_nothing_refers_to_has_its_checksum_too(tmp_path):
    path = tmp_path / 'x'
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('x/data/9', b'nothing refers to this')
    check_whole(path)
    path.write_bytes(path.read_bytes().replace(b'refers', b'Refers'))
    with pytest.raises(DamagedCheckpointError, match='data/9'):
        check_whole(path)


@pytest.mark.parametrize('save', [torch.save, before_zip, save_safetensors])
def test_a_digest_beside_a_file_serves_every_format(save, tmp_path):
    path = tmp_path / 'x'
    save(WEIGHTS, path)
    beside(path).write_text(digest_line(path, path.name))
    assert 'a.weight' in str(read_checkpoint(str(path)))
    subprocess.run(['sha256sum', '--check', 'x.sha256'], cwd=tmp_path, check=True, capture_output=True)
    bits = random.Random(0).sample(range(path.stat().st_size * 8), 30)
    for _ in flips(path, bits):
        with pytest.raises(DamagedCheckpointError, match=r'not the file that its digest was recorded of: x\.sha256'):
            read_checkpoint(str(path))
    beside(path).write_text('\x1b nothing')
    with pytest.raises(CheckpointError, match='holds no SHA-256'):
        read_checkpoint(str(path))


@pytest.mark.parametrize('save', [save_whole, torch.save, before_zip, save_safetensors])
def test_a_file_that_was_cut_or_zeroed_is_refused(save, tmp_path):
    path = tmp_path / 'x'
    save({'state_dict': {'a': torch.rand(10_000)}}, path)
    whole = path.read_bytes()
    for length in random.Random(0).sample(range(len(whole)), 50):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpointError):
            read_checkpoint(str(path))
    if save in (save_whole, torch.save):
        path.write_bytes(whole[:8192] + bytes(4096) + whole[8192 + 4096 :])
        assert is_refused(path)


def test_what_is_no_archive_or_has_one_gets_no_digest(tmp_path):
    before_zip(WEIGHTS, tmp_path / 'x')
    with pytest.raises(ValueError, match='no zip archive'):
        add_digest(tmp_path / 'x')
    save_whole(WEIGHTS, tmp_path / 'y')
    with pytest.raises(ValueError, match='a comment already'):
        add_digest(tmp_path / 'y')


def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path):
    for content, to_check, to_read in (
        (b'', 'is empty', 'is empty'),
        (b'a letter, not weights\n' * 9, 'no file of torch.save', 'is no checkpoint'),
        (b'x', 'no file of torch.save', 'is no checkpoint'),
        (None, 'there is no checkpoint', 'there is no checkpoint'),
    ):
        (tmp_path / 'x').unlink(missing_ok=True)
        if content is not None:
            (tmp_path / 'x').write_bytes(content)
        with pytest.raises(CheckpointError, match=to_check):
            check_whole(tmp_path / 'x')
        with pytest.raises(CheckpointError, match=to_read):
            read_checkpoint(str(tmp_path / 'x'))


def test_archives_that_torch_does_not_write_are_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'y')
    with zipfile.ZipFile(tmp_path / 'y') as archive, zipfile.ZipFile(tmp_path / 'x', 'w') as changed:
        for entry in archive.infolist():
            if entry.filename != 'y/data.pkl':
                changed.writestr(entry.filename, archive.read(entry))
    with pytest.raises(DamagedCheckpointError, match=r"without torch's data\.pkl"):
        read_checkpoint(str(tmp_path / 'x'))
