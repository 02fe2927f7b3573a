"""Predict all inputs of ``mmgcvit predict`` and write the results.

Skip inputs that fail, and report them.
"""

import errno
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
from .results import Outcome, Segmentation, list_categories, make_records

sv = OptionalModule('supervision', 'predicting videos')

MIN_FRAMES = (
    0.9  # share of the frames named in a video's header, an estimate, below which a message says so
)
DEFAULT_FRAME_RATE = 25.0  # of a video whose header has none, in frames per second


@dataclass
class PredictionRun:
    """Predict images and videos, draw and write the predictions, and count them and the failures."""

    model: Predictor
    outputs: Outputs
    batch_size: int  # number of images or frames in a batch
    draw: bool  # whether to write pictures and videos
    write: bool  # whether to write JSON files and segmentation maps
    labels: (
        Sequence[int] | None
    )  # class indices of the detections to keep; None keeps all detections
    draw_labels: bool  # whether to draw class names and scores
    num_failed: int = 0  # images and videos that could not be predicted
    counts: dict[str, Counter[int]] = field(
        default_factory=dict
    )  # by image or frame: predictions by class
    sides: dict[str, int] = field(default_factory=dict)  # by image: the longer side in pixels

    def __post_init__(self) -> None:
        self.categories = list_categories(self.model.task, self.model.classes)
        self.progress = Progress(disable=not sys.stdout.isatty())

    def predict(self, images: Sequence[str], videos: Sequence[str], max_frames: int | None) -> None:
        """Predict all images, then all videos, or the first ``max_frames`` frames of each video."""
        try:
            with self.progress:
                if images:
                    self.predict_images(images)
                for path in videos:
                    try:
                        self.predict_video(path, max_frames)
                    except Exception as error:
                        self.skip(path, error)
        finally:
            if self.write:
                write_counts(self.outputs.folder / COUNTS, self.counts, self.model.classes)

    def predict_images(self, paths: Sequence[str]) -> None:
        """Predict images and write their pictures, segmentation maps and, also after an error, JSON
        records.
        """
        images, results = [], []
        try:
            files = self.read_images(
                self.progress.track(list(enumerate(paths, start=1)), description='images')
            )
            for (image_id, path, image), outcome in self.predict_in_batches(files):
                try:
                    prediction = outcome.get(path)
                    entry = {
                        'id': image_id,
                        'file_name': path,
                        'width': image.shape[1],
                        'height': image.shape[0],
                    }
                    if self.draw:
                        picture = self.model.draw(image, prediction, self.draw_labels)
                        entry['drawn'] = str(self.outputs.write_picture(path, picture))
                    if self.write and isinstance(prediction, Segmentation):
                        entry['label_map'] = str(
                            self.outputs.write_label_map(path, prediction.label_map)
                        )
                    records = make_records(prediction, self.categories) if self.write else []
                except Exception as error:
                    self.skip(path, error)
                    continue
                images.append(entry)
                results += (
                    {'image_id': image_id, 'file_name': path, **record} for record in records
                )
                self.counts[path] = count_classes(prediction)
                self.sides[path] = max(image.shape[:2])
        finally:
            if self.write:
                write_json(
                    self.outputs.folder / IMAGES, {'categories': self.categories, 'images': images}
                )
                write_json(self.outputs.folder / PREDICTIONS, results)

    def read_images(
        self, paths: Iterable[tuple[int, str]]
    ) -> Iterator[tuple[int, str, np.ndarray]]:
        """Yield (image id, path, image) for pairs of an image id and a path.

        Skip files that cannot be read.
        """
        for image_id, path in paths:
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
                if self.labels is not None and not outcome.error:
                    objects = outcome.prediction
                    outcome = Outcome(
                        objects.select(np.flatnonzero(np.isin(objects.labels, self.labels)))
                    )
                yield item, outcome

    def predict_video(self, video: str, max_frames: int | None) -> None:
        """Predict a video.

        Write a video with drawn predictions, and a file with a line of JSON for each frame.
        """
        try:
            info = sv.VideoInfo.from_video_path(video)
        # supervision raises a plain Exception.
        except Exception:
            raise UserError(f'{video} cannot be opened as a video') from None
        fps, num_expected = (
            info.fps or DEFAULT_FRAME_RATE,
            min(info.total_frames, max_frames or info.total_frames),
        )
        # With two colours, objects of one class are not coloured one by one, which would flicker.
        model = replace(self.model, palette=self.model.palette * 2)
        frames = islice(sv.get_video_frames_generator(video), max_frames)
        with ExitStack() as files:
            frames = self.progress.track(enumerate(frames), total=max_frames, description=video)
            for (index, image), outcome in self.predict_in_batches(frames):
                name = f'{video}, frame {index}'
                prediction = outcome.get(name)
                if self.draw:
                    picture = model.draw(image, prediction, self.draw_labels)
                    if not index:
                        size = sv.VideoInfo(
                            width=picture.shape[1], height=picture.shape[0], fps=fps
                        )
                        drawn = self.outputs.get_path(PICTURES, video, '.mp4')
                        sink = files.enter_context(sv.VideoSink(str(drawn), size))
                    sink.write_frame(picture)
                if self.write:
                    if not index:
                        path = self.outputs.get_path(FRAMES, video, '.jsonl')
                        lines = files.enter_context(path.open('w', buffering=1, encoding='utf-8'))
                    records = make_records(prediction, self.categories)
                    entry = {'frame': index, 'time': round(index / fps, 3), 'predictions': records}
                    lines.write(json.dumps(entry, allow_nan=False) + '\n')
                self.counts[name] = count_classes(prediction)
        if f'{video}, frame 0' not in self.counts:
            raise UserError(f'{video}: no frame can be read')
        if index + 1 < MIN_FRAMES * num_expected:  # OpenCV reads a damaged video up to the damage
            message = escape_controls(
                f'{video}: {index + 1} of about {num_expected} frames can be read'
            )
            self.progress.console.print(message, markup=False, highlight=False, soft_wrap=True)
        # OpenCV does not report a full disk.
        if self.draw and cv2.VideoCapture(str(drawn)).get(cv2.CAP_PROP_FRAME_COUNT) <= index:
            raise UserError(f'{drawn} is incomplete. The disk may be full')

    def skip(self, path: str, error: Exception) -> None:
        """Print the error of an image or video that cannot be predicted, and count it.

        Raise that of a full disk.
        """
        # Drawing and encoding raise errors of any type, also if memory runs out.
        if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT):
            raise error
        message = (
            error
            if isinstance(error, UserError)
            else escape_controls(f'{path}: {get_first_line(error)}')
        )
        self.num_failed += 1
        # rich prints the message above the progress bar, if there is one.
        self.progress.console.print(
            f'skipped: {message}', markup=False, highlight=False, soft_wrap=True
        )
