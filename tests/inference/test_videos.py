"""Frames in, a video and a line of JSON for each frame out; cameras likewise, of so many frames."""

import json
from typing import ClassVar

import cv2
import numpy as np
import pytest

from mmgcvit.inference import UserError, videos
from mmgcvit.inference.inputs import find_inputs
from mmgcvit.inference.outputs import Outputs
from mmgcvit.inference.running import FRAMES_OF_A_CAMERA, Tally, Task, predict_all
from mmgcvit.inference.videos import VideoWriter, open_camera, open_video

from .conftest import picture_of

SIZE = 64, 96


def write_video(path, frames=5, rate=10.0, codec='MJPG'):
    """Spots that change colour."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, SIZE[::-1])
    for number in range(frames):
        writer.write(picture_of(*SIZE, seed=number))
    writer.release()
    return str(path)


class Shown:
    """A display that remembers."""

    def __init__(self):
        self.lines, self.done = [], []

    def begin(self, name, total, done=0):
        self.done.append([name, total])

    def advance(self, done, note=''):
        self.done[-1].append(done)

    def end(self):
        pass

    def line(self, text):
        self.lines.append(text)


@pytest.fixture
def predict(models, tmp_path):
    """Predict by a classifier; gives what was shown and counted."""

    def predict(*named, most_frames=None, **options):
        inputs, display, tally = find_inputs(named), Shown(), Tally()
        outputs = Outputs(tmp_path / 'out', inputs.files)
        predict_all(Task(models['classification'], outputs, display, **options), inputs, most_frames, tally)
        return display, tally

    return predict


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_video_gives_a_video_and_a_line_for_each_frame(predict, models, tmp_path):
    path = write_video(tmp_path / 'a.avi')
    display, tally = predict(path, batch_size=2)
    assert (tally.frames, tally.failed) == (5, [])
    assert display.done == [[path, 5, 2, 4, 5]]
    lines = lines_of(tmp_path / 'out' / 'preds' / 'a.jsonl')
    assert [(line['frame'], line['time']) for line in lines] == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    with open_video(path) as frames, open_video(str(tmp_path / 'out' / 'vis' / 'a.mp4')) as drawn:
        assert drawn.per_second == 10.0
        taken, pictures = list(frames), list(drawn)
    assert len(pictures) == 5
    prediction = models['classification'](taken[3])
    assert lines[3]['predictions'][0]['category_name'] == prediction.class_name
    assert lines[3]['predictions'][0]['score'] == pytest.approx(prediction.score, abs=1e-4)


def test_so_many_frames_are_taken(predict, tmp_path):
    display, tally = predict(write_video(tmp_path / 'a.avi'), most_frames=3)
    assert (tally.frames, display.done[0][1]) == (3, 3)


def test_nothing_is_written_that_is_not_asked_for(predict, tmp_path):
    path = write_video(tmp_path / 'a.avi', frames=1)
    predict(path, draw=False, write=False)
    assert not (tmp_path / 'out').exists()
    predict(path, draw=False)
    assert [file.name for file in (tmp_path / 'out').iterdir()] == ['preds']


def test_videos_of_one_name_do_not_meet(predict, tmp_path):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        write_video(tmp_path / folder / 'x.avi', frames=1)
    predict(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert {str(path.relative_to(tmp_path / 'out')) for path in (tmp_path / 'out').rglob('*.*')} == {
        f'{folder}/{parent}/x{ending}' for folder, ending in (('vis', '.mp4'), ('preds', '.jsonl')) for parent in 'ab'
    }


BROKEN = {
    'empty': (lambda path: path.write_bytes(b''), 'it has 0 bytes'),
    'words': (lambda path: path.write_text('words'), 'cannot be opened as a video'),
    'cut': (lambda path: path.write_bytes(path.read_bytes()[:40]), 'cannot be opened as a video'),
}


@pytest.mark.parametrize('kind', BROKEN)
def test_a_broken_video_is_named_and_stops_no_other(kind, predict, tmp_path):
    make, words = BROKEN[kind]
    bad, good = write_video(tmp_path / 'bad.avi'), write_video(tmp_path / 'good.avi', frames=2)
    make(tmp_path / 'bad.avi')
    display, tally = predict(bad, good)
    (sentence,) = tally.failed
    assert words in sentence
    assert bad in sentence
    assert display.lines == [f'skipped: {sentence}']
    assert tally.frames == 2


class FakeCapture:
    """A camera that has so many frames, or is not there."""

    frames, rate = 1000, 0.0
    opened: ClassVar = []

    def __init__(self, source):
        self.source, self.left = source, self.frames
        self.opened.append(self)

    def isOpened(self):  # noqa: N802  (OpenCV's)
        return self.source == 0

    def get(self, name):
        return {cv2.CAP_PROP_FPS: self.rate}.get(name, -1.0)

    def read(self):
        self.left -= 1
        return (True, picture_of(*SIZE)) if self.left >= 0 else (False, None)

    def release(self):
        self.source = None


@pytest.fixture
def camera(monkeypatch):
    monkeypatch.setattr(FakeCapture, 'opened', [])
    monkeypatch.setattr(videos.cv2, 'VideoCapture', FakeCapture)
    return FakeCapture


def test_a_camera_gives_so_many_frames_and_is_let_go(camera, predict, tmp_path):
    display, tally = predict('camera:0', most_frames=3)
    assert (tally.frames, display.done[0][:2]) == (3, ['camera:0', 3])
    assert len(lines_of(tmp_path / 'out' / 'preds' / 'camera_0.jsonl')) == 3
    assert camera.opened[0].source is None
    assert camera.opened[0].left == 997


def test_a_camera_ends_by_itself(camera):
    with open_camera(0, FRAMES_OF_A_CAMERA) as frames:
        assert len(list(frames)) == FRAMES_OF_A_CAMERA


def test_a_camera_that_goes_away_ends_the_video(camera, predict, monkeypatch):
    monkeypatch.setattr(FakeCapture, 'frames', 2)
    display, tally = predict('camera:0', most_frames=5)
    assert tally.frames == 2
    assert display.lines == ['camera:0: ends after 2 frames; 5 were expected']


def test_a_camera_that_is_not_there_is_named(camera, predict):
    _, tally = predict('camera:3')
    assert tally.failed == ['there is no camera 3 that can be opened (/dev/video3)']


def test_a_camera_that_shows_nothing_is_named(camera, predict, monkeypatch, tmp_path):
    monkeypatch.setattr(FakeCapture, 'frames', 0)
    _, tally = predict('camera:0')
    assert tally.failed == ['camera:0: no frame of it can be read']
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('rate', 'taken'), [(0.0, 25.0), (float('nan'), 25.0), (90_000.0, 25.0), (30.0, 30.0)])
def test_a_rate_that_cannot_be_is_not_taken(rate, taken, camera, monkeypatch):
    monkeypatch.setattr(FakeCapture, 'rate', rate)
    with open_camera(0, 1) as frames:
        assert frames.per_second == taken


def test_a_video_without_a_frame_leaves_no_file(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', 10.0):
        pass
    assert not list(tmp_path.iterdir())


def test_where_videos_cannot_be_written_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(videos, 'CODEC', 'none')
    with VideoWriter(tmp_path / 'a.mp4', 10.0) as writer, pytest.raises(UserError, match='--no-save-vis'):
        writer.add(np.zeros((*SIZE, 3), np.uint8))
