"""Predict all inputs of ``mmgcvit predict``, write the results, and print a summary.

Skip inputs that fail, and report them.
"""

import errno
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from ..errors import UserError, escape_controls, format_count, get_first_line, shorten
from ..own.judging.limits import format_limit
from ..own.pictures.measurements import MeasuredObject, PixelSize, measure_objects, write_objects
from ..own.pictures.output_files import COUNTS, FRAMES, IMAGES, OBJECTS, PICTURES, PREDICTIONS
from ..own.pictures.outputs import Outputs, make_table, write_counts, write_json
from ..predict.inputs import convert_to_array
from ..predict.predictor import PICTURE_ERRORS, Predictor, explain_skipped
from ..predict.results import Detections, Outcome, Prediction, find_labels

if TYPE_CHECKING:
    import supervision

    from ..own.labels.folder import LabelFolder


# Share of the frames named in a video's header, an estimate, below which a message says so
MIN_FRAMES = 0.9
DEFAULT_FRAME_RATE = 25.0  # of a video whose header has none, in frames per second
# Images are named whose longer side differs from that of the training images by more than this
# factor
MAX_RATIO = 2


@dataclass(frozen=True)
class PredictOptions:
    """The options of ``mmgcvit predict`` that say what is done with images."""

    batch_size: int = 1  # 1 with --tiles: the tiles of one image at a time are predicted together
    classes: Sequence[str] = ()  # the names of those that are kept; none: all
    frames: int | None = None  # of each video; None: all
    draw: bool = True
    with_labels: bool = True  # class names and scores are drawn
    write: bool = True  # JSON, CSV and segmentation maps
    measure: bool = False
    pixel_size: PixelSize | None = None
    # Longer side of the images of a training on folders of data; None: not known
    image_side: int | None = None


@dataclass
class Results:
    """What has been predicted so far."""

    counts: dict[str, Counter[int]] = field(default_factory=dict)  # of classes, by image or frame
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # (height, width) by image
    video_sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # of frames, by video
    # Images and frames with as many detections as the model returns at most
    limited: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)  # of images.json
    records: list[dict[str, Any]] = field(default_factory=list)  # of predictions.json
    measured: list[MeasuredObject] = field(default_factory=list)  # of objects.csv
    has_masks: bool = False  # whether a prediction has masks, also of no object


class PredictionRun:
    """Predict images and videos, draw and write the predictions; count them and the failures.

    ``out_dir`` is the output folder, and ``labels`` the folder of ``--labels``, if it is given.
    """

    def __init__(
        self,
        model: Predictor[Any],
        images: Sequence[str],
        videos: Sequence[str],
        options: PredictOptions,
        out_dir: Path,
        labels: 'LabelFolder | None' = None,
    ):
        self.model = model
        self.images = images
        self.videos = videos
        self.options = options
        self.labels = labels
        self.outputs = Outputs(out_dir, images, videos)
        self.categories = model.list_categories()
        self.progress = Progress(disable=not sys.stdout.isatty())
        self.num_failed = 0  # images and videos that could not be predicted
        self.results = Results()

    def predict(self) -> None:
        """Predict all images, then all videos. Write and print the counts, also after an error."""
        try:
            with self.progress:
                if self.images:
                    self.predict_images()
                for video in self.videos:
                    with self.skip_errors(video):
                        self.predict_video(video)
        finally:
            try:
                self.write()
            except KeyboardInterrupt:  # A signal has interrupted the writing: start it again.
                self.write()
                raise
            finally:
                self.print_summary()

    def write(self) -> None:
        """Write the counts, the JSON files of images, the measurements and the labels.

        What is in one folder is written even if the disk of the other one is full.
        """
        with ExitStack() as at_the_end:
            if self.labels:
                at_the_end.callback(self.labels.finish)
            if self.options.measure:
                write_objects(
                    self.outputs.folder / OBJECTS,
                    self.results.measured,
                    with_masks=self.results.has_masks,
                    pixel_size=self.options.pixel_size,
                )
            if self.options.write:
                self.write_predictions()

    def write_predictions(self) -> None:
        """Write the counts and the JSON files of images."""
        folder = self.outputs.folder
        if self.images:
            content = {'categories': self.categories, 'images': self.results.entries}
            write_json(folder / IMAGES, content)
            write_json(folder / PREDICTIONS, self.results.records)
        classes = self.model.classes
        labels = None
        if self.options.classes:
            labels = find_labels(self.options.classes, classes)
        write_counts(folder / COUNTS, self.results.counts, classes, labels)

    def predict_images(self) -> None:
        """Predict images, write their pictures and segmentation maps, and keep their JSON records."""
        for (image_id, path, image), outcome in self.predict_in_batches(self.read_images()):
            with self.skip_errors(path):
                prediction = outcome.get(path)
                height, width = size = image.shape[:2]
                entry = {'id': image_id, 'file_name': path, 'width': width, 'height': height}
                if self.options.draw:
                    picture = self.model.draw(image, prediction, self.options.with_labels)
                    entry['drawn'] = str(self.outputs.write_picture(path, picture))
                if self.labels:  # before the records: an image that fails here is skipped whole
                    self.labels.add(path, (width, height), prediction)
                if self.options.write:
                    label_map = prediction.get_label_map()
                    if label_map is not None:
                        entry['label_map'] = str(self.outputs.write_label_map(path, label_map))
                    records = [
                        {'image_id': image_id, 'file_name': path, **record}
                        for record in prediction.make_records(self.categories)
                    ]
                    # First the image: a signal leaves no record without it.
                    self.results.entries.append(entry)
                    self.results.records += records
                self.measure(path, image, prediction)
                self.count(path, prediction)
                self.results.sizes[path] = size

    def count(self, name: str, prediction: Prediction) -> None:
        """Count the predictions of an image or frame by class."""
        self.results.counts[name] = prediction.count_classes()
        if prediction.is_limited:
            self.results.limited.append(name)

    def measure(self, name: str, image: NDArray[np.uint8], prediction: Prediction) -> None:
        """Measure the objects of an image or frame, if ``--measure`` is given."""
        if self.options.measure and isinstance(prediction, Detections):
            # Tiles in which nothing is found are merged to a prediction without masks.
            if prediction.masks is not None:
                self.results.has_masks = True
            self.results.measured += measure_objects(name, image, prediction)

    def read_images(self) -> Iterator[tuple[int, str, NDArray[np.uint8]]]:
        """Yield (image id, path, image) of each image. Skip files that cannot be read."""
        paths = self.progress.track(self.images, description='images')
        for image_id, path in enumerate(paths, start=1):
            with self.skip_errors(path):
                yield image_id, path, convert_to_array(path, self.model.decoding)

    def predict_in_batches(
        self, items: Iterator[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, Outcome[Any]]]:
        """Yield (item, outcome) for each item.

        Items are tuples whose last element is the image to predict.
        """
        while batch := list(islice(items, self.options.batch_size)):
            outcomes = self.model.predict_batch([item[-1] for item in batch])
            for item, outcome in zip(batch, outcomes, strict=True):
                if self.options.classes and outcome.prediction:
                    outcome = Outcome(outcome.prediction.filter(classes=self.options.classes))
                yield item, outcome

    def predict_video(self, video: str) -> None:
        """Predict a video.

        Write a video with drawn predictions, and a file with a line of JSON for each frame.
        """
        info = read_video_info(video)
        check_num_pixels(video, info.width * info.height)
        rate = info.fps or DEFAULT_FRAME_RATE
        # With two colours, objects of one class are not coloured one by one, which would flicker.
        model = replace(self.model, palette=self.model.palette * 2)
        num_expected = info.total_frames
        if self.options.frames:
            num_expected = min(num_expected, self.options.frames)
        frames = islice(read_frames(video, rate), self.options.frames)
        # With the checks of any image.
        checked = (
            (index, seconds, convert_to_array(frame, self.model.decoding))
            for index, seconds, frame in frames
        )
        tracked = self.progress.track(checked, total=num_expected, description=video)
        num_frames = 0
        output = VideoOutput(self.outputs, video, rate)
        with output:
            for (index, seconds, image), outcome in self.predict_in_batches(iter(tracked)):
                name = f'{video}, frame {index}'
                prediction = outcome.get(name)
                if self.options.draw:
                    output.write_picture(model.draw(image, prediction, self.options.with_labels))
                if self.options.write:
                    records = prediction.make_records(self.categories)
                    entry = {'frame': index, 'time': round(seconds, 3), 'predictions': records}
                    output.write_line(json.dumps(entry, allow_nan=False))
                self.measure(name, image, prediction)
                self.count(name, prediction)
                self.results.video_sizes[video] = image.shape[:2]
                num_frames += 1
        if not num_frames:
            raise UserError(f'{video}: no frame can be read')
        # OpenCV reads a damaged video up to the damage.
        if num_frames < MIN_FRAMES * num_expected:
            message = f'{video}: {num_frames} of about {num_expected} frames can be read'
            print(escape_controls(message))
        output.check_complete(num_frames)

    @contextmanager
    def skip_errors(self, path: str) -> Iterator[None]:
        """Print one of :data:`.PICTURE_ERRORS` for an image or video, and count it. Raise that of a
        full disk.
        """
        try:
            yield
        except PICTURE_ERRORS as error:
            if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.num_failed += 1
            message = explain_skipped(path, error)
            print(escape_controls(f'skipped: {message}'))  # above the progress bar if there is one

    def print_summary(self) -> None:
        """Print what has been predicted and written."""
        results = self.results
        if results.counts:
            table = make_table(results.counts, self.model)
            Console(markup=False, emoji=False, highlight=False).print(table)
        if results.limited:
            print(format_limit(results.limited, len(results.counts), self.model))
        if self.model.can_tile and not self.model.tiles:
            print(
                compare_sizes(results.sizes, self.model, self.options.image_side, 'image'), end=''
            )
            print(
                compare_sizes(results.video_sizes, self.model, self.options.image_side, 'video'),
                end='',
            )
        done = format_count(len(results.sizes), 'image')
        if self.videos:
            done += f' and {format_count(len(results.counts) - len(results.sizes), "frame")}'
        print(f'{done} predicted, {self.num_failed} skipped: {self.outputs.folder}')
        if self.labels:
            print(self.labels)


class VideoOutput:
    """Write the drawn frames of a video, and a file with a line for each. Each file is created with
    the first frame.
    """

    def __init__(self, outputs: Outputs, video: str, rate: float):
        self.outputs = outputs
        self.video = video
        self.rate = rate
        self.files = ExitStack()
        self.drawn: str | None = None  # the video that is written
        self.sink: supervision.VideoSink | None = None
        self.lines: TextIO | None = None

    def __enter__(self) -> None:
        self.files.__enter__()

    def __exit__(self, *error: Any) -> bool | None:
        return self.files.__exit__(*error)

    def write_picture(self, picture: NDArray[np.uint8]) -> None:
        """Write a drawn frame, (height, width, 3) in BGR order. All have one size."""
        import supervision as sv

        if self.sink is None:
            self.drawn = str(self.outputs.get_path(PICTURES, self.video, '.mp4'))
            height, width = picture.shape[:2]
            info = sv.VideoInfo(width, height, self.rate)
            self.sink = self.files.enter_context(open_video(self.drawn, info))
        self.sink.write_frame(picture)

    def write_line(self, line: str) -> None:
        """Write the line of a frame."""
        if self.lines is None:
            path = self.outputs.get_path(FRAMES, self.video, '.jsonl')
            self.lines = self.files.enter_context(path.open('w', buffering=1, encoding='utf-8'))
        print(line, file=self.lines)

    def check_complete(self, num_frames: int) -> None:
        """Raise a UserError if the written video has fewer frames. OpenCV does not report a full
        disk.
        """
        if self.drawn is None:
            return
        if cv2.VideoCapture(self.drawn).get(cv2.CAP_PROP_FRAME_COUNT) < num_frames:
            raise UserError(f'{self.drawn} is incomplete. The disk may be full')


def read_video_info(video: str) -> 'supervision.VideoInfo':
    """Read the size and the frame rate of a video. Raise a UserError if it cannot be opened."""
    import supervision as sv

    try:
        return sv.VideoInfo.from_video_path(video)
    except Exception as error:  # supervision's own is of this class
        raise UserError(f'{video}: {get_first_line(error)}') from error


@contextmanager
def open_video(path: str, info: 'supervision.VideoInfo') -> 'Iterator[supervision.VideoSink]':
    """Open a video to write frames. Raise a UserError if it cannot be opened."""
    import supervision as sv

    with ExitStack() as files:
        try:
            sink = files.enter_context(sv.VideoSink(path, info))
        except RuntimeError as error:
            raise UserError(f'{path}: {get_first_line(error)}') from error
        yield sink


def check_num_pixels(video: str, number: int) -> None:
    """Raise a UserError if the frames of a video have more pixels than Pillow reads in an image."""
    limit = 2 * (Image.MAX_IMAGE_PIXELS or number)
    if number > limit:
        raise UserError(
            f'{video}: its frames have {number} pixels. At most {limit} are read. Make it smaller'
        )


def read_frames(video: str, rate: float) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """Yield the index, the time in seconds and the image of each frame of a video.

    The times are the file's own, since phones and screen recorders write frames at a varying rate.
    Where the file has none that rise, they follow from ``rate``, in frames per second.
    """
    capture = cv2.VideoCapture(video)
    last = -1.0
    has_times = True
    try:
        for index in count():
            is_read, image = capture.read()
            if not is_read:
                return
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            # OpenCV 5 says -1 ms where a file has none, earlier versions 0.
            has_times = has_times and seconds > last and seconds >= 0
            last = seconds
            yield index, seconds if has_times else index / rate, image.astype(np.uint8, copy=False)
    finally:
        capture.release()


def compare_sizes(
    sizes: Mapping[str, tuple[int, int]],
    model: Predictor[Any],
    image_side: int | None,
    unit: str = 'image',
) -> str:
    """Return a message about images or videos (``unit``) in which objects cannot be as large as in
    training, or ''.

    A run of ``train --data`` knows the longer side of its training images, ``image_side``. Of other
    models, the size is known to which they resize images.
    """
    if image_side:
        longer = shorter = side = image_side
        lowest = 1 / MAX_RATIO
        words = f'or smaller than in training (longer side {side} px)'
    elif model.scale:
        longer, shorter = model.scale
        lowest = 0
        side = MAX_RATIO * shorter
        words = f'than what the network gets ({longer} x {shorter} px)'
    else:
        return ''
    others = []
    for name, size in sizes.items():
        ratio = max(max(size) / longer, min(size) / shorter)
        if not lowest <= ratio <= MAX_RATIO:
            others.append(name)
    if not others:
        return ''
    return (
        f'{len(others)} of {format_count(len(sizes), unit)} ({shorten(others)}): over '
        f'{MAX_RATIO} times larger {words}. If objects in larger ones are lost, add --tiles '
        f'{side}\n'
    )
