"""``mmgcvit suggest`` ranks pictures for each task, and names what it cannot rank."""

import csv
import errno
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.own.pictures.output_files import list_outputs
from mmgcvit.own.suggestions.outputs import Suggestion, copy_pictures
from mmgcvit.own.suggestions.suggest import suggest, trains_mirrored
from mmgcvit.own.suggestions.uncertainty import Uncertainty
from mmgcvit.predict.inputs import convert_to_array

from ...predict.conftest import picture_of, write_video

NUM_PICTURES = 3


@pytest.fixture
def pictures(empty_folder):
    """Write a folder of pictures, and return it."""
    folder = empty_folder / 'unlabelled'
    folder.mkdir()
    for number in range(NUM_PICTURES):
        cv2.imwrite(str(folder / f'{number}.png'), picture_of(90, 120, seed=number))
    return folder


def read_rows(folder):
    return [*csv.DictReader((folder / 'suggestions.csv').read_text('utf-8-sig').splitlines())]


@pytest.mark.slow
def test_pictures_are_ranked_drawn_and_copied(work_dir, pictures, call):
    """A second call gives the same ranking. A broken picture is named and does not stop the others."""
    broken = pictures / 'broken.png'
    broken.write_bytes((pictures / '0.png').read_bytes()[:100])
    code, printed = call('suggest', work_dir, pictures, '--device', 'cpu', '--copy-to', 'next', 2)
    assert (code, f'skipped: {broken}' in printed) == (1, True), printed
    assert '1 picture could not be ranked' in printed
    broken.unlink()
    code, printed = call('suggest', work_dir, pictures, '--device', 'cpu')
    assert code == 0, printed
    rows = read_rows(Path('suggestions'))
    assert rows == read_rows(Path('suggestions2'))
    assert [row['rank'] for row in rows] == ['1', '2', '3']
    names = [row['file_name'] for row in rows]
    assert sorted(names) == sorted(map(str, pictures.iterdir()))
    assert {file.name for file in Path('next').iterdir()} == {Path(name).name for name in names[:2]}
    for row in rows:
        for column in ('uncertainty', 'near_threshold', 'distance'):
            assert 0 <= float(row[column]) <= 2
    assert cv2.imread('suggestions/suggestions.jpg').shape[2] == 3
    written = {file.name for file in Path('suggestions').iterdir()}
    assert list_outputs(Path('suggestions'), written) == written, 'and not pictures to label'


@pytest.mark.parametrize(
    ('error', 'is_skipped'),
    [
        (UserError('no'), True),
        (OSError('no'), True),
        (MemoryError('no'), True),
        (cv2.error('no'), True),
        (KeyError('no'), False),
    ],
)
def test_a_picture_that_fails_does_not_stop_the_others(
    error, is_skipped, models, pictures, monkeypatch
):
    """As in predict, faults of the program are raised."""
    first, failing, last = sorted(map(str, pictures.iterdir()))

    def convert(path, decoding):
        if path == failing:
            raise error
        return convert_to_array(path, decoding)

    monkeypatch.setattr('mmgcvit.own.suggestions.suggest.convert_to_array', convert)
    known = np.zeros((0, 1), np.float32)
    with nullcontext() if is_skipped else pytest.raises(KeyError):
        model = models['classification']
        ranking, failures = suggest(model, [first, failing, last], known, with_mirrored=False)
        assert {each.path for each in ranking} == {first, last}
        assert failures == [f'{failing}: no']


def test_files_of_an_earlier_ranking_are_kept_or_replaced(work_dirs, pictures, call):
    arguments = ['suggest', work_dirs['classification'], pictures, '--device', 'cpu']
    assert call(*arguments, '--out-dir', 'out')[0] == 0
    code, printed = call(*arguments, '--out-dir', 'out')
    assert (code, 'out already has results' in printed) == (1, True)
    assert call(*arguments, '--out-dir', 'out', '--overwrite')[0] == 0


def list_suggestions(folder):
    """Return the pictures of a folder as a ranking."""
    uncertainty = Uncertainty(nearness=0.5, change=None)
    return [Suggestion(str(path), uncertainty, distance=1.0) for path in sorted(folder.iterdir())]


def test_pictures_are_not_copied_among_those_of_another_command(pictures):
    """Two commands at once have both found the folder empty."""
    folder = Path('next')
    folder.mkdir()
    (folder / '0.png').write_bytes(b'of the other command')
    with pytest.raises(UserError, match='--copy-to next: expected a new or empty folder'):
        copy_pictures(folder, list_suggestions(pictures))
    assert [file.read_bytes() for file in folder.iterdir()] == [b'of the other command']


def test_a_full_disk_leaves_no_part_of_a_picture(pictures, monkeypatch):
    """It would be labelled as it is."""

    def write_half(source, target):
        content = Path(source).read_bytes()
        Path(target).write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('mmgcvit.own.suggestions.outputs.shutil.copy2', write_half)
    with pytest.raises(OSError, match='No space left'):
        copy_pictures(Path('next'), list_suggestions(pictures))
    assert not any(Path('next').iterdir())


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'no PICTURE given'),
        (['film.avi'], 'suggest ranks pictures on this machine, not videos and URLs (film.avi)'),
        (['https://a.b/c.png'], 'not videos and URLs (https://a.b/c.png)'),
        (['unlabelled', '--copy-to', 'next', 'all'], 'expected FOLDER and a number of at least 1'),
        (['unlabelled', '--copy-to', 'next', '0'], 'expected FOLDER and a number of at least 1'),
        (['unlabelled', '--copy-to', 'unlabelled', '1'], 'expected a new or empty folder'),
        (['unlabelled', 'b/0.png', '--copy-to', 'n', '1'], 'would share a label file'),
        (['unlabelled', '--data', 'unlabelled'], '--data is for the work dir of a run of train'),
    ],
)
def test_what_cannot_be_ranked_or_copied_is_named_before_anything_is_written(
    arguments, words, work_dirs, pictures, call
):
    write_video('film.avi')
    Path('b').mkdir()
    cv2.imwrite('b/0.png', picture_of(9, 9))
    code, printed = call('suggest', work_dirs['classification'], *arguments)
    assert (code, words in printed) == (1, True), printed
    assert not Path('suggestions').exists()
    assert not Path('next').exists()


@pytest.mark.parametrize(
    ('flip', 'is_mirrored'),
    [
        ({'type': 'RandomFlip', 'prob': 0.5}, True),
        ({'type': 'RandomFlip', 'prob': 0.5, 'direction': 'vertical'}, False),
        ({'type': 'Resize'}, False),
    ],
)
def test_a_run_that_does_not_mirror_images_forbids_it(flip, is_mirrored):
    cfg = Config({'train_dataloader': {'dataset': {'pipeline': [flip]}}})
    assert trains_mirrored(cfg) == is_mirrored
