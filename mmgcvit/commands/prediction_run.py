"""Predict all inputs of ``mmgcvit predict`` and write the results.

Skip inputs that fail, and report them.
"""

import errno
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import cv2
import numpy as np
from rich.progress import Progress

from ..errors import OptionalModule, UserError, escape_controls, get_first_line
from ..files import COUNTS, FRAMES, IMAGES, PICTURES, PREDICTIONS
from .inputs import convert_to_array
from .outputs import Outputs, count_classes, write_counts, write_json
from .predictor import Predictor
from .results import (
    Detections,
    Outcome,
    Prediction,
    Record,
    Segmentation,
    list_categories,
    make_records,
)

sv = OptionalModule('supervision', 'predicting videos')

# Share of the frames named in a video's header, an estimate, below which a message says so
MIN_FRAMES = 0.9
DEFAULT_FRAME_RATE = 25.0  # of a video whose header has none, in frames per second


@dataclass
class PredictionRun:
    """Predict images and videos, draw and write the predictions; count them and the failures."""

    model: Predictor
    outputs: Outputs
    batch_size: int  # number of images or frames in a batch
    draw: bool  # whether to write pictures and videos
    write: bool  # whether to write JSON files and segmentation maps
    classes: Sequence[str] | None  # of the detections to keep; None keeps all
    draw_labels: bool  # whether to draw class names and scores
    num_failed: int = 0  # images and videos that could not be predicted
    # By image or frame: predictions by class
    counts: dict[str, Counter[int]] = field(default_factory=dict)
    # By image: height and width in pixels
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    # Images and frames with as many detections as the model returns at most
    limited: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.categories = list_categories(self.model.task, self.model.classes)
        self.progress = Progress(disable=not sys.stdout.isatty())

    def predict(self, images: Sequence[str], videos: Sequence[str]) -> None:
        """Predict all images, then all videos."""
        try:
            with self.progress:
                if images:
                    self.predict_images(images)
                for video in videos:
                    try:
                        self.predict_video(video)
                    except Exception as error:
                        self.skip(video, error)
        finally:
            if self.write:
                write_counts(self.outputs.folder / COUNTS, self.counts, self.model.classes)

    def predict_images(self, paths: Sequence[str]) -> None:
        """Predict images and write their pictures, segmentation maps and, also after an error, JSON
        records.
        """
        entries, results = [], []
        try:
            for (image_id, path, image), outcome in self.predict_in_batches(
                self.read_images(paths)
            ):
                try:
                    prediction = outcome.get(path)
                    files = self.write_pictures(path, image, prediction)
                    records = self.list_records(prediction)
                except Exception as error:
                    self.skip(path, error)
                    continue
                height, width = image.shape[:2]
                entry = {'id': image_id, 'file_name': path, 'width': width, 'height': height}
                entries.append(entry | files)
                for record in records:
                    results.append({'image_id': image_id, 'file_name': path, **record})
                self.count(path, prediction)
                self.sizes[path] = height, width
        finally:
            if self.write:
                content = {'categories': self.categories, 'images': entries}
                write_json(self.outputs.folder / IMAGES, content)
                write_json(self.outputs.folder / PREDICTIONS, results)

    def count(self, name: str, prediction: Prediction) -> None:
        """Count the predictions of an image or frame by class."""
        self.counts[name] = count_classes(prediction)
        if isinstance(prediction, Detections) and prediction.is_limited:
            self.limited.append(name)

    def write_pictures(self, path: str, image: np.ndarray, prediction: Prediction) -> Record:
        """Write an image's picture and segmentation map. Return the paths of the files."""
        files = {}
        if self.draw:
            picture = self.model.draw(image, prediction, self.draw_labels)
            files['drawn'] = str(self.outputs.write_picture(path, picture))
        if self.write and isinstance(prediction, Segmentation):
            files['label_map'] = str(self.outputs.write_label_map(path, prediction.label_map))
        return files

    def list_records(self, prediction: Prediction) -> list[Record]:
        return make_records(prediction, self.categories) if self.write else []

    def read_images(self, paths: Sequence[str]) -> Iterator[tuple[int, str, np.ndarray]]:
        """Yield (image id, path, image) of each path. Skip files that cannot be read."""
        numbered = list(enumerate(paths, start=1))
        for image_id, path in self.progress.track(numbered, description='images'):
            try:
                yield image_id, path, convert_to_array(path, self.model.decoding)
            except UserError as error:
                self.skip(path, error)

    def predict_in_batches(self, items: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, Outcome]]:
        """Yield (item, outcome) for each item.

        Items are tuples whose last element is the image to predict.
        """
        while batch := list(islice(items, self.batch_size)):
            outcomes = self.model.predict_batch([item[-1] for item in batch])
            for item, outcome in zip(batch, outcomes, strict=True):
                if self.classes is not None and outcome.prediction is not None:
                    outcome = Outcome(outcome.prediction.filter(classes=self.classes))
                yield item, outcome

    def predict_video(self, video: str) -> None:
        """Predict a video.

        Write a video with drawn predictions, and a file with a line of JSON for each frame.
        """
        try:
            info = sv.VideoInfo.from_video_path(video)
        except Exception:  # supervision raises a plain Exception
            raise UserError(f'{video} cannot be opened as a video') from None
        rate = info.fps or DEFAULT_FRAME_RATE
        # With two colours, objects of one class are not coloured one by one, which would flicker.
        model = replace(self.model, palette=self.model.palette * 2)
        frames = enumerate(sv.get_video_frames_generator(video))
        frames = self.progress.track(frames, total=info.total_frames, description=video)
        num_frames = 0
        with ExitStack() as files:
            for (index, image), outcome in self.predict_in_batches(frames):
                name = f'{video}, frame {index}'
                prediction = outcome.get(name)
                if self.draw:
                    picture = model.draw(image, prediction, self.draw_labels)
                    if index == 0:
                        drawn = str(self.outputs.get_path(PICTURES, video, '.mp4'))
                        height, width = picture.shape[:2]
                        size = sv.VideoInfo(width, height, rate)
                        sink = files.enter_context(sv.VideoSink(drawn, size))
                    sink.write_frame(picture)
                if self.write:
                    if index == 0:
                        path = self.outputs.get_path(FRAMES, video, '.jsonl')
                        lines = files.enter_context(path.open('w', buffering=1, encoding='utf-8'))
                    records = self.list_records(prediction)
                    entry = {'frame': index, 'time': round(index / rate, 3), 'predictions': records}
                    lines.write(json.dumps(entry, allow_nan=False) + '\n')
                self.count(name, prediction)
                num_frames += 1
        if not num_frames:
            raise UserError(f'{video}: no frame can be read')
        # OpenCV reads a damaged video up to the damage.
        if num_frames < MIN_FRAMES * info.total_frames:
            self.print(f'{video}: {num_frames} of about {info.total_frames} frames can be read')
        # OpenCV does not report a full disk.
        if self.draw and cv2.VideoCapture(drawn).get(cv2.CAP_PROP_FRAME_COUNT) < num_frames:
            raise UserError(f'{drawn} is incomplete. The disk may be full')

    def skip(self, path: str, error: Exception) -> None:
        """Print the error of an image or video that cannot be predicted, and count it.

        Raise that of a full disk.
        """
        # Drawing and encoding raise errors of any type, also if memory runs out.
        if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT):
            raise error
        message = f'{path}: {get_first_line(error)}'
        if isinstance(error, UserError):
            message = str(error)
        self.num_failed += 1
        self.print(f'skipped: {message}')

    def print(self, message: str) -> None:
        """Print a message, above the progress bar if there is one."""
        message = escape_controls(message)
        self.progress.console.print(message, markup=False, highlight=False, soft_wrap=True)
