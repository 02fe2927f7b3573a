"""The time of a frame is the video file's own, also if the frame rate varies."""

import struct

import pytest
import supervision as sv

from mmgcvit.commands import prediction_run
from mmgcvit.commands.prediction_run import read_frames

from ..inference.conftest import write_video

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


def test_without_times_in_the_file_they_follow_from_the_rate(film, monkeypatch):
    monkeypatch.setattr(prediction_run.cv2, 'CAP_PROP_POS_MSEC', -1)  # unknown, so 0 for each frame
    assert list_times(film) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
