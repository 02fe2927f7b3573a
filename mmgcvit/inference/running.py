"""Predicting for all that a user has named, and writing what comes of it. The broken is named, counted and skipped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.progress import Display
from ..errors import UserError
from .images import is_animated, read_image
from .inputs import Inputs
from .outputs import DRAWN, FRAMES, IMAGES, PREDICTIONS, JsonLines, JsonList, Outputs
from .predictor import Predictor
from .records import categories_of, records_of
from .results import Prediction, Segmentation
from .videos import ENDING, Frames, VideoWriter, batches_of, open_camera, open_video
from .words import counted

FRAMES_OF_A_CAMERA = 100


@dataclass(frozen=True)
class Task:
    """What is done with each input.

    Attributes:
        model: Predicts.
        outputs: Where results go.
        display: Shows progress.
        batch_size: So many images, or frames, at a time.
        draw: Whether pictures are drawn.
        write: Whether JSON and label maps are written.
    """

    model: Predictor
    outputs: Outputs
    display: Display
    batch_size: int = 1
    draw: bool = True
    write: bool = True

    @property
    def categories(self) -> list[dict[str, Any]]:
        return categories_of(self.model.task, self.model.classes)


@dataclass
class Tally:
    """What came of the inputs.

    Attributes:
        images: So many images were predicted.
        frames: So many frames of videos and cameras.
        failed: What could not be, a sentence each.
    """

    images: int = 0
    frames: int = 0
    failed: list[str] = field(default_factory=list)


def predict_all(task: Task, inputs: Inputs, most_frames: int | None, tally: Tally) -> None:
    """Images, then videos, then cameras.

    Args:
        task: What is done with each.
        inputs: What is there.
        most_frames: So many of each video and camera; None for all, :data:`FRAMES_OF_A_CAMERA` of a camera.
        tally: Counts.
    """
    if inputs.left_out:
        task.display.line(f'left out, since by name neither image nor video: {counted(len(inputs.left_out), "file")}')
    if inputs.images:
        predict_images(task, inputs.images, tally)
    videos = [(path, open_video(path, most_frames)) for path in inputs.videos]
    cameras = [(f'camera_{n}', open_camera(n, most_frames or FRAMES_OF_A_CAMERA)) for n in inputs.cameras]
    for source, opened in videos + cameras:
        try:
            with opened as frames:
                predict_frames(task, frames, source, tally)
        except UserError as error:
            fail(task, tally, str(error))


def predict_images(task: Task, paths: Sequence[str], tally: Tally) -> None:
    """Predict for image files: ``predictions.json`` and ``images.json``, pictures below ``vis``, label maps.

    Both JSON files are whole also where something ends the call: they then have what was done until then.
    """
    images: list[dict[str, Any]] = []
    list_of_records = JsonList(task.outputs.file(PREDICTIONS)) if task.write else nullcontext()
    try:
        with shown(task, 'images', len(paths)), list_of_records as records:
            for begin in range(0, len(paths), task.batch_size):
                batch = paths[begin : begin + task.batch_size]
                predict_batch(task, batch, begin + 1, records, images, tally)
                task.display.advance(begin + len(batch), batch[-1])
    finally:
        if task.write:
            task.outputs.write_json(IMAGES, {'images': images, 'categories': task.categories})


def predict_batch(
    task: Task,
    paths: Sequence[str],
    first_id: int,
    records: JsonList | None,
    images: list[dict[str, Any]],
    tally: Tally,
) -> None:
    """Predict for a batch of image files; see :func:`predict_images`."""
    loaded = {}
    for number, path in enumerate(paths, start=first_id):
        try:
            loaded[number] = read_image(path, task.model.loader)
            if is_animated(path):
                task.display.line(f'{path}: an animation, of which the first frame is taken')
        except UserError as error:
            fail(task, tally, str(error))
    outcomes = task.model.outcomes(list(loaded.values()))
    for (number, image), outcome in zip(loaded.items(), outcomes, strict=True):
        path = paths[number - first_id]
        try:
            if isinstance(outcome, UserError):
                raise outcome
            images.append(written(task, number, path, image, outcome, records))
        except UserError as error:
            fail(task, tally, f'{path}: {error}')
        else:
            tally.images += 1


def written(
    task: Task, number: int, path: str, image: np.ndarray, prediction: Prediction, records: JsonList | None
) -> dict[str, Any]:
    """Write what is predicted for an image; gives its entry in ``images.json``.

    Raises:
        UserError: Its picture cannot be written.
    """
    entry = {'id': number, 'file_name': path, 'width': image.shape[1], 'height': image.shape[0]}
    if task.draw:
        entry['drawn'] = str(task.outputs.write_picture(path, task.model.draw(image, prediction)))
    if records is not None:
        if isinstance(prediction, Segmentation):
            entry['label_map'] = str(task.outputs.write_label_map(path, prediction.label_map))
        for record in records_of(prediction, task.categories):
            records.add({'image_id': number, 'file_name': path, **record})
    return entry


def predict_frames(task: Task, frames: Frames, source: str, tally: Tally) -> None:
    """Predict for a video's or a camera's frames: a video below ``vis``, a line of JSON for each frame below ``preds``.

    Args:
        task: See there.
        frames: The frames.
        source: What its files are called after.
        tally: Counts.

    Raises:
        UserError: There is no frame.
    """
    drawn = VideoWriter(task.outputs.place(DRAWN, source, ENDING), frames.per_second) if task.draw else nullcontext()
    lines = JsonLines(task.outputs.place(FRAMES, source, '.jsonl')) if task.write else nullcontext()
    done = 0
    with shown(task, frames.name, frames.expected or 1), drawn as writer, lines as file:
        for batch in batches_of(frames, task.batch_size):
            for image, outcome in zip(batch, task.model.outcomes(batch), strict=True):
                if isinstance(outcome, UserError):
                    raise UserError(f'{frames.name}, frame {done}: {outcome}')
                if writer is not None:
                    writer.add(task.model.draw(image, outcome))
                if file is not None:
                    records = records_of(outcome, task.categories)
                    time = round(done / frames.per_second, 3)
                    file.add({'frame': done, 'time': time, 'predictions': records})
                done += 1
                tally.frames += 1
            task.display.advance(done)
        if not done:
            raise UserError(f'{frames.name}: no frame of it can be read')
    if frames.expected is not None and done < frames.expected:
        task.display.line(f'{frames.name}: ends after {done} frames; {frames.expected} were expected')


@contextmanager
def shown(task: Task, name: str, total: int) -> Iterator[None]:
    """A bar for what is done in the ``with`` block; where nobody knows how much that is, its end is a step ahead."""
    task.display.begin(name, total)
    try:
        yield
    finally:
        task.display.end()


def fail(task: Task, tally: Tally, sentence: str) -> None:
    """Name and count something that cannot be predicted."""
    tally.failed.append(sentence)
    task.display.line(f'skipped: {sentence}')
