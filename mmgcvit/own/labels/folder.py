"""Make a folder of pictures with predicted labels, for ``mmgcvit predict --labels``.

The pictures are hard links to the inputs or, on another disk, copies. The file ``made_by.json``
says that a model made the labels, and which, so that they can be told from labels that somebody has
corrected.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ...datasets.annotations import Size
from ...datasets.opening import open_or_reject, read_orientation
from ...errors import UserError, format_count, shorten
from ...host.files import (
    IMAGE_SUFFIXES,
    check_writable,
    compute_sha256,
    is_url,
    write_atomically,
    write_text,
)
from ...host.tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from ...predict.predictor import Predictor
from ...predict.results import Prediction, Record
from ...predict.thresholds import BY_CLASS_KEY, OVERALL_KEY
from ...version import __version__
from ..data.folders import MARK
from ..data.origins import MAKER, make_stem
from ..data.rules.classes import find_wrong_names
from ..data.rules.images import has_unusable_name
from .formats import OBJECT_WRITERS, ClassFolderWriter, LabelWriter, MapWriter

# The formats of each task by name, the default one first
LABEL_WRITERS: Mapping[str, Mapping[str, type[LabelWriter[Any]]]] = {
    DETECTION.name: OBJECT_WRITERS,
    SEGMENTATION.name: {'maps': MapWriter},
    CLASSIFICATION.name: {'class folders': ClassFolderWriter},
}
# Characters that UTF-8 or XML does not have
NOT_WRITTEN = re.compile('[\ud800-\udfff\ufffe\uffff]')


def check_new_folder(folder: Path, option: str = '--labels') -> None:
    """Raise a UserError if the folder of an option has files already, or cannot be written."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        reject_used_folder(folder, option)
    check_writable(folder, f'{option} {folder}')


def reject_used_folder(folder: Path, option: str) -> NoReturn:
    """Raise a UserError for the folder of an option, which is a file or has files."""
    raise UserError(
        f'{option} {folder}: expected a new or empty folder, because labels that somebody may '
        'have corrected are never replaced. Choose another name'
    )


def check_pictures(images: Sequence[str], videos: Sequence[str], option: str = '--labels') -> None:
    """Raise a UserError for inputs that cannot be pictures in a folder to label.

    They are videos, URLs, files whose names data may not have, and files that share a name.
    """
    if videos:
        raise UserError(
            f'{option} is only for pictures, not for videos ({shorten(videos)}). Save frames as '
            'pictures, and pass those'
        )
    named: dict[str, str] = {}
    for path in images:
        name = Path(path).name
        if is_url(path):
            raise UserError(f'{option}: {path} is a URL. Download it, and pass its path')
        is_hidden = name.startswith(('.', '@'))
        if is_hidden or has_unusable_name(name) or '\\' in name or not is_picture_name(name):
            raise UserError(
                f'{option}: {path} cannot be a picture of a dataset. Expected a name that does not '
                'begin with a dot or @, has no backslash, tab, line break or invalid UTF-8, and '
                f'ends in one of {", ".join(IMAGE_SUFFIXES)}'
            )
        # Label files have the names of their pictures, without suffix. Some disks ignore case, and
        # some tools the Unicode form.
        stem = make_stem(name)
        if stem in named:
            raise UserError(
                f'{option}: {named[stem]} and {path} would share a label file, because they have '
                'the same name without suffix. Rename one of them, or pass each folder by itself'
            )
        named[stem] = path


def is_picture_name(name: str) -> bool:
    """Return whether data are looked for in a file with this name."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def check_class_names(classes: Sequence[str], folder: Path) -> None:
    """Raise a UserError if the names of a model's classes are not usable for a dataset."""
    wrong = [finding.example for finding in find_wrong_names(folder, classes)]
    wrong += [repr(name) for name in classes if name != name.strip() or NOT_WRITTEN.search(name)]
    if wrong:
        raise UserError(
            f'--labels: the model has the class names {shorten(wrong)}, which are empty, have '
            'control or invalid characters or blanks at an end, or are equal to another one but '
            'for case, blanks or Unicode form. Labels of such classes cannot be read'
        )


def choose_format(task: str, name: str | None) -> str:
    """Return the name of a format of a task: ``name``, or the default for None.

    Raise a UserError for a task whose labels cannot be written, and for a format that it does not
    have.
    """
    if task not in LABEL_WRITERS:
        raise UserError(
            f'--labels: the labels of a {task} model cannot be written, only those of '
            f'{", ".join(LABEL_WRITERS)}. Remove --labels; predictions.json has its predictions'
        )
    formats = LABEL_WRITERS[task]
    if name and len(formats) == 1:
        raise UserError(
            f'--labels-format is only for detectors, and this is a {task} model. Remove it'
        )
    return name or next(iter(formats))


class LabelFolder:
    """A folder of pictures and labels that is being written.

    Args:
        model: The model whose predictions are written.
        folder: A new or empty folder.
        label_format: The name of a format in ``LABEL_WRITERS``, or None for the task's default.
        classes: The only classes that are kept, or None for all.

    Raises:
        UserError: The format or the names of the classes cannot be written, or the folder has
            files.
    """

    def __init__(
        self,
        model: Predictor[Any],
        folder: Path,
        label_format: str | None = None,
        classes: Sequence[str] | None = None,
    ):
        self.folder = folder
        check_new_folder(folder)
        check_class_names(model.classes, folder)
        name = choose_format(model.task, label_format)
        self.writer = LABEL_WRITERS[model.task][name](folder, model.classes)
        self.applies_rotation = model.decoding.applies_rotation
        self.mark = describe_origin(model, name, classes)
        self.labels: dict[str, list[Record]] = {}  # by the name of a picture
        self.pictures: dict[str, Record] = {}  # by name too: what tells it from others
        # First the mark: a killed command leaves no labels without it.
        self.create_mark()

    def add(self, path: str, size: Size, prediction: Prediction) -> None:
        """Add a picture of (width, height) with the labels that are predicted for it.

        Raise a UserError if the prediction is for the picture without its EXIF rotation.
        """
        with open_or_reject(Path(path)) as image:
            is_rotated = read_orientation(image) != 1
        if is_rotated and not self.applies_rotation:
            raise UserError(
                f'{path}: the model ignores its EXIF rotation, which labelling tools apply. Rotate '
                'its pixels'
            )
        name = Path(path).name
        picture = self.writer.get_picture_folder(prediction) / name
        link_or_copy(Path(path), picture)
        try:
            # Before its labels: a signal leaves no labels in the mark without their picture.
            self.pictures[name] = {'sha256': compute_sha256(picture), 'size': list(size)}
            self.labels[name] = self.writer.write_labels(name, size, prediction)
        except BaseException:
            picture.unlink()  # without labels, it would be an image without objects
            raise

    def finish(self) -> None:
        """Write what is for all pictures. It may be called again."""
        if self.labels:
            self.writer.finish()
        self.write_mark()

    def create_mark(self) -> None:
        """Write the mark of a folder without labels. Raise a UserError if another command has
        written one since the folder was checked.
        """
        mark = self.folder / MARK
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            reject_used_folder(self.folder, '--labels')
        try:
            self.write_mark()
        except BaseException:
            mark.unlink()  # so that the folder is empty, and the command can be given again
            raise

    def write_mark(self) -> None:
        """Write which model has made which labels."""
        content = {**self.mark, 'pictures': self.pictures, 'labels': self.labels}
        write_text(self.folder / MARK, json.dumps(content, indent=1, allow_nan=False))

    def __str__(self) -> str:
        text = f'labels of {format_count(len(self.labels), "picture")}: {self.folder}'
        if self.writer.num_dropped:
            text += (
                f'; {format_count(self.writer.num_dropped, "object")} left out: under a pixel, '
                'empty or repeated'
            )
        return text


def describe_origin(
    model: Predictor[Any], label_format: str, classes: Sequence[str] | None
) -> Record:
    """Return what the mark of a folder says about its labels.

    It names the format if the task has several.
    """
    checkpoint = model.checkpoint
    has_file = checkpoint is not None and not is_url(checkpoint) and Path(checkpoint).is_file()
    thresholds: Record = {OVERALL_KEY: None, BY_CLASS_KEY: None}
    if model.finds_objects:
        thresholds = model.thresholds.to_json()
    return {
        'made_by': f'{MAKER}{__version__}',
        'task': model.task,
        'config': str(model.config) if model.config else None,
        'checkpoint': checkpoint,
        'checkpoint_sha256': compute_sha256(Path(str(checkpoint))) if has_file else None,
        'format': label_format if len(LABEL_WRITERS[model.task]) > 1 else None,
        **thresholds,
        'only_classes': list(classes) if classes else None,
        'tiles': model.tiles,
        'classes': list(model.classes),
    }


def link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link to a file or, where this is not possible, a copy of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    real = source.resolve()
    try:
        os.link(real, target)
    except FileExistsError:
        raise
    except OSError:  # on another disk, or one without links
        with write_atomically(target) as temporary:
            shutil.copyfile(real, temporary)
