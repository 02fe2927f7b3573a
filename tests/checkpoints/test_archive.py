"""The end of an archive is looked at before Python's zipfile reads its directory."""

import io
import zipfile
from contextlib import nullcontext

import pytest

from mmgcvit.checkpoints.archive import END, END_64, END_64_LOCATOR, check_end

NO_END = 'it does not end as an archive does'


def end(directory_size=0, comment_length=0):
    return END.pack(b'PK\x05\x06', 0, 0, 0, 0, directory_size, 0, comment_length)


def end_64(directory_size, signature=b'PK\x06\x06'):
    """Of an archive that has nothing before it."""
    record = END_64.pack(signature, END_64.size - 12, 45, 45, 0, 0, 0, 0, directory_size, 0)
    return record + END_64_LOCATOR.pack(b'PK\x06\x07', 0, 0, 1) + end(2**32 - 1)


def check(content):
    check_end(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    'content',
    [end(), b'x' * 9 + end(9), end_64(0), end_64(END_64.size)],
    ids=['end', 'of 9', 'of 64 bits', 'of 56'],
)
def test_an_archives_end_is_accepted(content):
    check(content)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', NO_END),
        (end()[1:], NO_END),
        (end()[:-1], NO_END),
        (b'x' + end()[1:], NO_END),
        (end_64(0, b'PK\x06\x05'), NO_END),
        (end(comment_length=3), 'its comment is no digest'),
        (end(END.size + 1), 'a directory of 23 bytes'),
        (end_64(10**6), 'a directory of 1,000,000 bytes'),
    ],
    ids=['empty', 'begins late', 'cut short', 'another', 'another of 64 bits', 'a comment', 'of 23', 'of 1,000,000'],
)
def test_another_end_is_refused(content, reason):
    with pytest.raises(zipfile.BadZipFile, match=reason):
        check(content)


TOO_MUCH = pytest.raises(zipfile.BadZipFile, match='a directory of 67,108,865 bytes')


@pytest.mark.parametrize(('size', 'outcome'), [(64 << 20, nullcontext()), ((64 << 20) + 1, TOO_MUCH)])
def test_a_directory_is_bounded_in_a_large_file_too(size, outcome, tmp_path):
    """Of 128 MB, sparse."""
    with (tmp_path / 'x').open('w+b') as file, outcome:
        file.seek(128 << 20)
        file.write(end(size))
        check_end(file, file.tell())
