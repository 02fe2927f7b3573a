"""The time of a frame is the video file's own, also if the frame rate varies. Errors of inputs are
skipped, faults of the program are not; all rows of objects.csv have the columns of its header.
"""

import csv
import errno
import struct
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import supervision as sv

from mmgcvit.commands import prediction_run
from mmgcvit.commands.prediction_run import PredictionRun, PredictOptions, read_frames
from mmgcvit.errors import UserError
from mmgcvit.predict.results import Detections

from ..predict.conftest import write_video

NUM_FRAMES = 10  # at 10 frames per second


@pytest.fixture
def film(tmp_path):
    path = tmp_path / 'film.mp4'
    write_video(path, NUM_FRAMES, codec='mp4v')
    return path


def vary_rate(path):
    """Halve the duration of the first five frames of an MP4 file, and lengthen the others so that
    the video is as long as before.
    """
    content = bytearray(path.read_bytes())
    table = content.find(b'stts') + 4  # version, number of rows, and rows of (count, duration)
    _, num_rows, count, duration = struct.unpack('>IIII', content[table : table + 16])
    assert (num_rows, count) == (1, NUM_FRAMES)
    rows = (0, 2, 5, duration // 2, 5, duration * 3 // 2)
    content[table : table + 16] = struct.pack('>IIIIII', *rows)
    for name in (b'stts', b'stbl', b'minf', b'mdia', b'trak', b'moov'):
        begin = content.find(name) - 4
        (size,) = struct.unpack('>I', content[begin : begin + 4])
        content[begin : begin + 4] = struct.pack('>I', size + 8)
    path.write_bytes(content)


def list_times(film):
    return [round(seconds, 3) for _, seconds, _ in read_frames(str(film), rate=10.0)]


def test_frames_at_a_constant_rate_are_at_index_over_rate(film):
    assert list_times(film) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def test_frames_at_a_varying_rate_have_the_times_of_the_file(film):
    vary_rate(film)
    assert sv.VideoInfo.from_video_path(str(film)).fps == 10
    assert list_times(film) == [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4, 0.55, 0.7, 0.85]


class TiledDetector:
    """Has masks, and predicts an image in which nothing is found without them, as in tiles."""

    def list_categories(self):
        return []


def test_objects_of_images_before_an_empty_one_have_the_columns_of_masks(tmp_path):
    options = PredictOptions(measure=True, write=False)
    run = PredictionRun(TiledDetector(), ['full', 'empty'], [], options=options, out_dir=tmp_path)
    image = np.zeros((20, 30, 3), np.uint8)
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 5:9, 4:14] = True
    for number, masks in ((1, mask), (0, None)):
        found = Detections(
            boxes=np.array([[4, 5, 14, 9]], np.float32)[:number],
            scores=np.ones(number, np.float32),
            labels=np.zeros(number, np.int64),
            classes=['cell'],
            masks=masks,
        )
        run.measure('a.png', image, found)
    run.write()
    (row,) = csv.DictReader((tmp_path / 'objects.csv').read_text('utf-8-sig').splitlines())
    assert (row['height_px'], row['area_px2'], row['touches_border']) == ('4', '40', '0')


@pytest.mark.parametrize(
    ('error', 'is_skipped'),
    [
        (UserError('no'), True),
        (OSError('no'), True),
        (MemoryError(), True),
        (KeyError('area'), False),
        (ValueError('no'), False),
    ],
)
def test_faults_of_the_program_are_not_those_of_an_image(error, is_skipped, tmp_path):
    run = PredictionRun(TiledDetector(), ['a'], [], options=PredictOptions(), out_dir=tmp_path)
    with nullcontext() if is_skipped else pytest.raises(type(error)), run.skip_errors('a'):
        raise error
    assert run.num_failed == is_skipped


class Labels:
    """The folder of ``--labels``, on a disk that may be full."""

    def __init__(self, is_full):
        self.is_full = is_full
        self.is_finished = False

    def finish(self):
        if self.is_full:
            raise OSError(errno.ENOSPC, 'No space left on device')
        self.is_finished = True

    def add(self, path, size, prediction):
        raise UserError('its pixels are rotated by EXIF')


@pytest.mark.parametrize('full', ['labels', 'predictions'])
def test_what_is_on_another_disk_than_the_full_one_is_written(full, tmp_path):
    labels = Labels(is_full=full == 'labels')
    model = TiledDetector()
    model.classes = ['cell']
    options = PredictOptions()
    run = PredictionRun(model, ['a'], [], options=options, out_dir=tmp_path, labels=labels)
    if full == 'predictions':
        (tmp_path / 'images.json').mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match=r'No space left|directory'):
        run.write()
    assert (tmp_path / 'counts.csv').exists() == (full == 'labels')
    assert labels.is_finished == (full == 'predictions')


def test_an_image_whose_labels_cannot_be_written_is_in_no_file(tmp_path, monkeypatch):
    labels = Labels(is_full=False)
    options = PredictOptions(draw=False)
    run = PredictionRun(
        TiledDetector(), ['a'], [], options=options, out_dir=tmp_path, labels=labels
    )
    found = Detections(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        labels=np.zeros(0, int),
        masks=None,
        classes=['cell'],
    )
    item = (1, 'a', np.zeros((20, 30, 3), np.uint8))
    outcome = SimpleNamespace(get=lambda name: found)
    monkeypatch.setattr(run, 'predict_in_batches', lambda items: [(item, outcome)])
    run.predict_images()
    assert run.num_failed == 1
    assert run.results.entries == run.results.records == []
    assert not run.results.counts


def test_a_video_that_cannot_be_written_is_named(film, tmp_path):
    info = prediction_run.read_video_info(str(film))
    path = str(tmp_path / 'none/film.mp4')
    with pytest.raises(UserError, match=r'film\.mp4: '), prediction_run.open_video(path, info):
        pass


def test_without_times_in_the_file_they_follow_from_the_rate(film, monkeypatch):
    monkeypatch.setattr(prediction_run.cv2, 'CAP_PROP_POS_MSEC', -1)  # unknown, so 0 for each frame
    assert list_times(film) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def test_times_below_zero_are_none_of_the_file(monkeypatch):
    """OpenCV 5 says -1 ms where a file has none."""
    frames = iter([np.zeros((4, 6, 3), np.uint8)] * 3)

    def read():
        image = next(frames, None)
        return image is not None, image

    capture = SimpleNamespace(read=read, get=lambda name: -1.0, release=lambda: None)
    monkeypatch.setattr(prediction_run.cv2, 'VideoCapture', lambda video: capture)
    assert list_times('film.mp4') == [0, 0.1, 0.2]
