"""A checkpoint that was altered is not read: by its digest every byte, by the zip's own checksums every tensor's."""

import hashlib
import os
import random
import subprocess
import zipfile
from functools import partial
from pathlib import Path

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
    wholeness,
)
from mmgcvit.checkpoints.wholeness import beside, write_digest_beside

WEIGHTS = {'state_dict': {'a.weight': torch.arange(600.0).reshape(2, 300), 'b': torch.ones(7)}, 'meta': {'epoch': 3}}
before_zip = partial(torch.save, _use_new_zipfile_serialization=False)


def same(path):
    content = read_checkpoint(str(path))
    return content['meta'] == {'epoch': 3} and torch.equal(
        content['state_dict']['a.weight'], WEIGHTS['state_dict']['a.weight']
    )


def test_what_is_saved_is_read_by_us_and_by_torch(tmp_path):
    save_whole(WEIGHTS, tmp_path / 'x.pth')
    check_whole(tmp_path / 'x.pth')
    assert same(tmp_path / 'x.pth')
    for options in ({}, {'mmap': True}):
        content = torch.load(tmp_path / 'x.pth', weights_only=True, **options)
        assert torch.equal(content['state_dict']['b'], torch.ones(7))
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']


def test_the_digest_goes_with_the_file(tmp_path):
    save_whole(WEIGHTS, tmp_path / 'x.pth')
    (tmp_path / 'x.pth').rename(tmp_path / 'renamed')
    os.utime(tmp_path / 'renamed', (0, 0))
    check_whole(tmp_path / 'renamed')


@pytest.mark.parametrize('without_last', [0, 1, 79])
@pytest.mark.parametrize('size', [0, 1, 79, 80, wholeness.CHUNK - 1, wholeness.CHUNK, wholeness.CHUNK + 1])
def test_every_byte_is_in_the_digest(size, without_last, tmp_path):
    content = random.Random(0).randbytes(size)
    (tmp_path / 'x').write_bytes(content)
    wanted = hashlib.sha256(content[: max(size - without_last, 0)]).hexdigest()
    assert wholeness.sha256(tmp_path / 'x', without_last) == wanted


def flips(path, bits):
    """A file with each of these bits turned, one at a time."""
    content = bytearray(path.read_bytes())
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        yield bit
        content[bit // 8] ^= 1 << bit % 8


def is_refused(path):
    with pytest.raises(CheckpointError):
        check_whole(path)
    with pytest.raises(CheckpointError):
        read_checkpoint(str(path))
    return True


def test_of_a_file_with_a_digest_no_bit_can_be_turned_unnoticed(tmp_path):
    path = tmp_path / 'x.pth'
    save_whole(WEIGHTS, path)
    size = path.stat().st_size * 8
    bits = [*random.Random(0).sample(range(size), 200), *range(size - 8 * 120, size, 7), *range(0, 64)]
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
    assert same(path)
    path.write_bytes(path.read_bytes().replace(b'refers', b'Refers'))
    assert is_refused(path)


@pytest.mark.parametrize('save', [torch.save, before_zip, lambda content, path: save_file(content['state_dict'], path)])
def test_a_digest_beside_a_file_serves_every_format(save, tmp_path):
    path = tmp_path / 'x'
    save(WEIGHTS, path)
    write_digest_beside(path)
    assert 'a.weight' in str(read_checkpoint(str(path)))
    subprocess.run(['sha256sum', '--check', 'x.sha256'], cwd=tmp_path, check=True, capture_output=True)
    bits = random.Random(0).sample(range(path.stat().st_size * 8), 30)
    for _ in flips(path, bits):
        with pytest.raises(DamagedCheckpointError, match=r'not the file that its digest was recorded of: x\.sha256'):
            read_checkpoint(str(path))


def test_a_record_that_is_none_is_named(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'x')
    beside(tmp_path / 'x').write_text('\x1b nothing')
    with pytest.raises(CheckpointError, match='holds no SHA-256'):
        read_checkpoint(str(tmp_path / 'x'))


@pytest.mark.parametrize('save', [save_whole, torch.save, before_zip])
def test_a_file_that_was_cut_or_zeroed_is_refused(save, tmp_path):
    path = tmp_path / 'x'
    save({'a': torch.rand(10_000)}, path)
    whole = path.read_bytes()
    for length in random.Random(0).sample(range(len(whole)), 50):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpointError):
            read_checkpoint(str(path))
    if save is not before_zip:
        path.write_bytes(whole[:8192] + bytes(4096) + whole[8192 + 4096 :])
        assert is_refused(path)


def test_what_is_no_archive_gets_no_digest(tmp_path):
    before_zip(WEIGHTS, tmp_path / 'x')
    with pytest.raises(ValueError, match='no zip archive'):
        add_digest(tmp_path / 'x')
    save_whole(WEIGHTS, tmp_path / 'y')
    with pytest.raises(ValueError, match='a comment already'):
        add_digest(tmp_path / 'y')


def test_a_failed_save_leaves_the_file_before(tmp_path, monkeypatch):
    save_whole(WEIGHTS, tmp_path / 'x.pth')

    def fail(*_):
        raise OSError('No space left on device')

    for step in ('add_digest', 'put_in_place'):
        with monkeypatch.context() as patch:
            patch.setattr(wholeness, step, fail)
            with pytest.raises(OSError, match='No space'):
                save_whole({}, tmp_path / 'x.pth')
    assert same(tmp_path / 'x.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']


@pytest.mark.parametrize(
    ('content', 'reason'), [(b'', 'empty'), (b'text', 'no file of torch.save'), (None, 'there is no')]
)
def test_what_is_no_checkpoint_is_not_whole(content, reason, tmp_path):
    if content is not None:
        (tmp_path / 'x').write_bytes(content)
    with pytest.raises(CheckpointError, match=reason):
        check_whole(tmp_path / 'x')


class TestArchives:
    """Zip archives that torch does not write."""

    @pytest.fixture
    def refuse(self, tmp_path):
        def refuse(change, reason):
            torch.save(WEIGHTS, tmp_path / 'x')
            with zipfile.ZipFile(tmp_path / 'x') as archive:
                entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
            with zipfile.ZipFile(tmp_path / 'x', 'w') as archive:
                for name, content in change(dict(entries)):
                    archive.writestr(name, content)
            with pytest.raises(DamagedCheckpointError, match=reason):
                read_checkpoint(str(tmp_path / 'x'))

        return refuse

    @pytest.mark.filterwarnings('ignore:Duplicate name')
    def test_with_two_entries_of_a_name_are_refused(self, refuse):
        refuse(lambda entries: [*entries.items(), ('x/data/0', b'')], 'two entries of one name')

    @pytest.mark.parametrize('name', ['y/data/9', '../x', '/etc/passwd', 'x/'])
    def test_with_entries_elsewhere_are_refused(self, refuse, name):
        refuse(lambda entries: [*entries.items(), (name, b'')], 'outside of its folder')

    def test_without_torchs_pickle_are_refused(self, refuse):
        refuse(
            lambda entries: [item for item in entries.items() if item[0] != 'x/data.pkl'], "without torch's data.pkl"
        )

    def test_with_a_comment_are_refused(self, tmp_path):
        torch.save(WEIGHTS, tmp_path / 'x')
        with zipfile.ZipFile(tmp_path / 'x', 'a') as archive:
            archive.comment = b'a comment'
        with pytest.raises(DamagedCheckpointError):
            read_checkpoint(str(tmp_path / 'x'))

    def test_with_a_huge_directory_are_refused_before_it_is_read(self, tmp_path, monkeypatch):
        """A directory takes twenty times its size in memory."""
        torch.save(WEIGHTS, tmp_path / 'x')
        content = bytearray((tmp_path / 'x').read_bytes())
        end = content.rindex(b'PK\x06\x06')
        content[end + 40 : end + 48] = (2**40).to_bytes(8, 'little')
        (tmp_path / 'x').write_bytes(content)
        monkeypatch.setattr(zipfile, 'ZipFile', lambda _: pytest.fail('it was opened'))
        with pytest.raises(DamagedCheckpointError, match=r'directory of 1,099,511,627,776 bytes'):
            read_checkpoint(str(tmp_path / 'x'))


def test_reading_a_file_writes_nothing(tmp_path):
    save_whole(WEIGHTS, tmp_path / 'x.pth')
    before = Path(tmp_path / 'x.pth').read_bytes()
    read_checkpoint(str(tmp_path / 'x.pth'))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
