"""Predict all inputs of ``mmgcvit predict`` and write the results. Unreadable inputs are named, counted and skipped."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import supervision as sv
from rich.progress import Progress

from ..errors import UserError, counted
from .images import is_animated, read_image
from .inputs import CAMERA_FRAMES, Inputs, get_frame_rate, read_frames
from .outputs import FRAMES, IMAGES, PICTURES, PREDICTIONS, Outputs, write_json
from .predictor import Predictor
from .results import Prediction, Segmentation, list_categories, make_records
from .tiles import TiledPredictor
from .tracking import Tracker


@dataclass
class PredictionRun:
    """What is done with each input.

    Attributes:
        batch_size: The number of images, frames or, with ``tiles``, tiles at a time.
        draw: Whether to write pictures and videos.
        write: Whether to write JSON and label maps.
        tiles: The side of tiles in pixels; None predicts whole images.
        track: Whether to track the objects of videos.
        images: How many images were predicted.
        frames: How many frames of videos were predicted.
        failed: A sentence for each input that could not be predicted.
    """

    model: Predictor
    outputs: Outputs
    batch_size: int = 1
    draw: bool = True
    write: bool = True
    tiles: int | None = None
    track: bool = False
    images: int = 0
    frames: int = 0
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.categories = list_categories(self.model.task, self.model.classes)
        self.progress = Progress(disable=not sys.stdout.isatty())
        self.predictor = self.model
        if self.tiles is not None:
            self.predictor = TiledPredictor(self.model, self.tiles, self.batch_size)
            self.batch_size = 1

    def predict(self, inputs: Inputs, max_frames: int | None = None) -> None:
        """Predict images, then videos, then cameras, of these at most so many frames."""
        if inputs.left_out:
            self.say(f'left out, neither images nor videos by their suffixes: {counted(len(inputs.left_out), "file")}')
        videos = [(path, path, max_frames) for path in inputs.videos]
        cameras = [(f'camera_{number}', number, max_frames or CAMERA_FRAMES) for number in inputs.cameras]
        with self.progress:
            if inputs.images:
                self.predict_images(inputs.images)
            for name, source, limit in videos + cameras:
                try:
                    self.predict_video(name, source, limit)
                except UserError as error:
                    self.skip(str(error))

    def predict_images(self, paths: Sequence[str]) -> None:
        """Write ``predictions.json`` and ``images.json``, also if the call is interrupted; pictures; label maps."""
        images: list[dict[str, Any]] = []
        records: list[dict[str, Any]] = []
        task = self.progress.add_task('images', total=len(paths))
        try:
            for begin in range(0, len(paths), self.batch_size):
                numbers = range(begin, min(begin + self.batch_size, len(paths)))
                for number, image, prediction in self.predict_files(numbers, paths):
                    try:
                        images.append(self.write_image(number + 1, paths[number], image, prediction))
                    except UserError as error:
                        self.skip(f'{paths[number]}: {error}')
                        continue
                    self.images += 1
                    if self.write:
                        about = {'image_id': number + 1, 'file_name': paths[number]}
                        records += [{**about, **record} for record in make_records(prediction, self.categories)]
                self.progress.advance(task, len(numbers))
        finally:
            if self.write:
                write_json(self.outputs.folder / PREDICTIONS, records)
                write_json(self.outputs.folder / IMAGES, {'images': images, 'categories': self.categories})

    def predict_files(
        self, numbers: Sequence[int], paths: Sequence[str]
    ) -> Iterator[tuple[int, np.ndarray, Prediction]]:
        """Read and predict a batch of image files; yields number, image and prediction of those that succeed."""
        loaded = {}
        for number in numbers:
            try:
                loaded[number] = read_image(paths[number], self.model.loader)
            except UserError as error:
                self.skip(str(error))
                continue
            if is_animated(paths[number]):
                self.say(f'{paths[number]}: an animation, of which the first frame is taken')
        found = self.predictor.predict_batch(list(loaded.values()))
        for (number, image), prediction in zip(loaded.items(), found, strict=True):
            if isinstance(prediction, UserError):
                self.skip(f'{paths[number]}: {prediction}')
            else:
                yield number, image, prediction

    def write_image(self, number: int, path: str, image: np.ndarray, prediction: Prediction) -> dict[str, Any]:
        """Write the picture and the label map of an image; returns its entry in ``images.json``."""
        entry = {'id': number, 'file_name': path, 'width': image.shape[1], 'height': image.shape[0]}
        if self.draw:
            entry['drawn'] = str(self.outputs.write_picture(path, self.model.draw(image, prediction)))
        if self.write and isinstance(prediction, Segmentation):
            entry['label_map'] = str(self.outputs.write_label_map(path, prediction.label_map))
        return entry

    def predict_video(self, name: str, source: str | int, max_frames: int | None) -> None:
        """Write a video with predictions drawn in, and a line of JSON for each frame."""
        rate, done = get_frame_rate(source), 0
        frames = islice(read_frames(source), max_frames)
        task = self.progress.add_task(name, total=max_frames)
        with ExitStack() as files:
            for image, prediction in self.predict_frames(name, frames):
                if self.draw:
                    picture = self.model.draw(image, prediction)
                    if not done:
                        path = self.outputs.get_path(PICTURES, name, '.mp4')
                        path.parent.mkdir(parents=True, exist_ok=True)
                        size = sv.VideoInfo(width=picture.shape[1], height=picture.shape[0], fps=rate)
                        sink = files.enter_context(sv.VideoSink(str(path), size))
                    sink.write_frame(picture)
                if self.write:
                    if not done:
                        path = self.outputs.get_path(FRAMES, name, '.jsonl')
                        path.parent.mkdir(parents=True, exist_ok=True)
                        lines = files.enter_context(path.open('w', encoding='utf-8'))
                    records = make_records(prediction, self.categories)
                    entry = {'frame': done, 'time': round(done / rate, 3), 'predictions': records}
                    lines.write(json.dumps(entry, ensure_ascii=False, allow_nan=False) + '\n')
                done += 1
                self.frames += 1
                self.progress.advance(task)
        if not done:
            raise UserError(f'{source if isinstance(source, str) else name}: no frame of it can be read')

    def predict_frames(self, name: str, frames: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, Prediction]]:
        """Frames and what is predicted for them, batch by batch."""
        tracker, done = Tracker() if self.track else None, 0
        while batch := list(islice(frames, self.batch_size)):
            for number, (image, found) in enumerate(
                zip(batch, self.predictor.predict_batch(batch), strict=True), start=done
            ):
                if isinstance(found, UserError):
                    raise UserError(f'{name}, frame {number}: {found}')
                yield image, found if tracker is None else tracker(found)
            done += len(batch)

    def skip(self, sentence: str) -> None:
        """Name and count an input that cannot be predicted."""
        self.failed.append(sentence)
        self.say(f'skipped: {sentence}')

    def say(self, sentence: str) -> None:
        """Print a line, above the progress bar if there is one."""
        self.progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
