"""Predicting for all that a user has named, and writing what comes of it. The broken is named, counted and skipped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np

from ..engine.progress import Display
from ..errors import UserError, counted
from .images import is_animated, read_image
from .inputs import FRAMES_OF_A_CAMERA, Frames, Inputs, opened
from .outputs import DRAWN, FRAMES, IMAGES, PREDICTIONS, Outputs, json_entries, video_written, write_json
from .predictor import Predictor
from .results import Prediction, Segmentation, categories_of, records_of
from .tiles import whole_or_in_tiles
from .tracking import Tracker


@dataclass
class Task:
    """What is done with each input: predict, so many images or frames at a time, draw, write JSON and label maps.

    Where ``tiles`` says how large they are, it is one image at a time, and so many of its tiles.
    """

    model: Predictor
    outputs: Outputs
    display: Display
    batch_size: int = 1
    draw: bool = True
    write: bool = True
    tiles: int | None = None
    # Whether the objects of a video are followed from frame to frame.
    track: bool = False
    # What came of them: so many were predicted; a sentence for each that could not be.
    images: int = 0
    frames: int = 0
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.categories = categories_of(self.model.task, self.model.classes)
        self.predictor, self.batch_size = whole_or_in_tiles(self.model, self.tiles, self.batch_size)

    def predict(self, inputs: Inputs, most_frames: int | None = None) -> None:
        """Images, then videos, then cameras; of each video and camera so many frames, None for all of a video."""
        if inputs.left_out:
            number = counted(len(inputs.left_out), 'file')
            self.display.line(f'left out, since by name neither image nor video: {number}')
        if inputs.images:
            self.predict_images(inputs.images)
        videos = [(path, path, most_frames) for path in inputs.videos]
        cameras = [(f'camera_{number}', number, most_frames or FRAMES_OF_A_CAMERA) for number in inputs.cameras]
        for called, source, most in videos + cameras:
            try:
                with opened(source, most) as frames:
                    self.predict_frames(frames, called)
            except UserError as error:
                self.fail(str(error))

    def predict_images(self, paths: Sequence[str]) -> None:
        """``predictions.json`` and ``images.json``, whole also where something ends the call; pictures, label maps."""
        images: list[dict[str, Any]] = []
        records = json_entries(self.outputs.file(PREDICTIONS)) if self.write else nullcontext()
        self.display.begin('images', len(paths))
        try:
            with records as add_record:
                for begin in range(0, len(paths), self.batch_size):
                    batch = paths[begin : begin + self.batch_size]
                    for number, image, prediction in self.found_of(batch, begin + 1):
                        path = paths[number - 1]
                        try:
                            images.append(self.written(number, path, image, prediction, add_record))
                        except UserError as error:
                            self.fail(f'{path}: {error}')
                        else:
                            self.images += 1
                    self.display.advance(begin + len(batch), batch[-1])
        finally:
            self.display.end()
            if self.write:
                write_json(self.outputs.file(IMAGES), {'images': images, 'categories': self.categories})

    def found_of(self, paths: Sequence[str], first: int) -> Iterator[tuple[int, np.ndarray, Prediction]]:
        """Of a batch of image files, numbered from ``first``, those that can be predicted, and what is."""
        loaded = {}
        for number, path in enumerate(paths, start=first):
            try:
                loaded[number] = read_image(path, self.model.loader)
                if is_animated(path):
                    self.display.line(f'{path}: an animation, of which the first frame is taken')
            except UserError as error:
                self.fail(str(error))
        outcomes = self.predictor.outcomes(list(loaded.values()))
        for (number, image), outcome in zip(loaded.items(), outcomes, strict=True):
            if isinstance(outcome, UserError):
                self.fail(f'{paths[number - first]}: {outcome}')
            else:
                yield number, image, outcome

    def written(
        self,
        number: int,
        path: str,
        image: np.ndarray,
        prediction: Prediction,
        add_record: Callable[[dict[str, Any]], None] | None,
    ) -> dict[str, Any]:
        """Write what is predicted for an image; its entry in ``images.json``."""
        entry = {'id': number, 'file_name': path, 'width': image.shape[1], 'height': image.shape[0]}
        if self.draw:
            entry['drawn'] = str(self.outputs.write_picture(path, self.model.draw(image, prediction)))
        if add_record is not None:
            if isinstance(prediction, Segmentation):
                entry['label_map'] = str(self.outputs.write_label_map(path, prediction.label_map))
            for record in records_of(prediction, self.categories):
                add_record({'image_id': number, 'file_name': path, **record})
        return entry

    def predict_frames(self, frames: Frames, called: str) -> None:
        """A video below ``vis``, and below ``preds`` a line of JSON for each frame, both so called."""
        with ExitStack() as files:
            # Where nobody knows how many frames there are, the end is a step ahead.
            self.display.begin(frames.name, frames.expected or 1)
            files.callback(self.display.end)
            found = self.found_in(frames)
            first, done = next(found, None), 0
            if first is None:
                raise UserError(f'{frames.name}: no frame of it can be read')
            if self.draw:
                path = self.outputs.place(DRAWN, called, '.mp4')
                add_frame = files.enter_context(video_written(path, frames.per_second))
            if self.write:
                add_line = files.enter_context(json_entries(self.outputs.place(FRAMES, called, '.jsonl')))
            for image, prediction in chain([first], found):
                if self.draw:
                    add_frame(self.model.draw(image, prediction))
                if self.write:
                    time = round(done / frames.per_second, 3)
                    add_line({'frame': done, 'time': time, 'predictions': records_of(prediction, self.categories)})
                done += 1
                self.frames += 1
        if frames.expected is not None and done < frames.expected:
            self.display.line(f'{frames.name}: ends after {done} frames; {frames.expected} were expected')

    def found_in(self, frames: Frames) -> Iterator[tuple[np.ndarray, Prediction]]:
        """Frames and what is predicted for them, predicted batch by batch."""
        done, tracker = 0, Tracker() if self.track else None
        while batch := list(islice(frames.images, self.batch_size)):
            outcomes = self.predictor.outcomes(batch)
            for number, (image, outcome) in enumerate(zip(batch, outcomes, strict=True), start=done):
                if isinstance(outcome, UserError):
                    raise UserError(f'{frames.name}, frame {number}: {outcome}')
                yield image, outcome if tracker is None else tracker(outcome)
            done += len(batch)
            self.display.advance(done)

    def fail(self, sentence: str) -> None:
        """Name and count something that cannot be predicted."""
        self.failed.append(sentence)
        self.display.line(f'skipped: {sentence}')
