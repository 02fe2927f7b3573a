"""Layouts: where tools and public datasets put images, annotations and splits in a folder.

Each format declares its layouts in a table (``LAYOUTS`` in ``formats/*.py``). A folder fits exactly
one with annotation files, else one of maps, else class folders, or it is rejected, with the tree of
the layout of each format that it nearly fits. A new layout of COCO, Pascal VOC or maps is a row of
a table. The tables of YOLO, whose data.yaml has the paths, and of class folders are for messages
and docs.

:func:`pair_files` finds the annotation file or the map of each image: it has the same name, in a
layout's folders. Splits are folders too, or the lists in ``ImageSets`` (:func:`read_image_sets`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ...errors import UserError
from ...host.files import normalise, read_text
from .folders import Folder
from .records import DatasetInfo

# Names of splits (in lower case) for folders, files and keys: train, Training, train2017, val_set.
SPLIT_NAME = re.compile(
    r'(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<test>test(?:ing)?))'
    r'[_\- ]?(?:set|data|images)?\d*'
)
# Other names of annotation files and lists for training, by CVAT, VOC and MMYOLO.
TRAIN_NAMES = ('default', 'trainval')
Pair = tuple[Path, Path]  # an image and its annotation file or map
PairsBySplit = Mapping[str, Sequence[Pair]]
FilesByName = Mapping[str, Sequence[Path]]  # by a name without suffix


@dataclass(frozen=True)
class Layout:
    """Where a tool puts files. In paths, ``{split}`` stands for the name of a split."""

    tools: str  # which write it
    source: str  # a URL that describes it
    tree: str  # for messages and docs
    images: str = ''  # the folder of the images; '': the dataset's
    annotations: str = ''  # the annotation file, or the folder of annotation files or maps
    endings: tuple[str, ...] = ()  # of the names of maps that are beside their images
    task: str = ''  # what maps are by this layout: 'semantic' or 'segment'; '' where it is asked

    def get_image_name(self, file: Path) -> str:
        """Return the name that an image shares with its annotation file or map, in one Unicode
        form; '' for a map beside images.
        """
        stem = normalise(file.stem)
        if not self.endings:
            return stem
        if self.get_annotation_name(file):
            return ''
        return re.sub('(?i)_img$', '', stem)

    def get_annotation_name(self, file: Path) -> str:
        """Return the name that an annotation file or a map shares with its image, in one Unicode
        form; '' for an image beside maps.
        """
        # Without endings, this matches any name.
        match = re.fullmatch(f'(?is)(.*?)({"|".join(self.endings)})', normalise(file.stem))
        return match[1] if match else ''


@dataclass(frozen=True)
class Match:
    """A layout that a folder fits. ``read(task)`` reads the folder.

    ``task`` is the value of ``--task``. COCO, YOLO and Pascal VOC do not need it.
    """

    layout: Layout
    read: Callable[[str | None], DatasetInfo]


@dataclass(frozen=True)
class Misfit:
    """Why a folder does not fit a format, and the layout of it that it nearly fits."""

    layout: Layout
    reason: str


@dataclass(frozen=True)
class Fit:
    """How a folder fits a format: its layouts that it fits or, if there is none, maybe a misfit."""

    matches: Sequence[Match] = ()
    misfit: Misfit | None = None


@dataclass(frozen=True)
class Pairs:
    """The images of a dataset with their annotation files or maps, relative to its folder."""

    by_split: PairsBySplit
    # Files without exactly one partner of their name. Images for testing need none.
    unpaired_images: Sequence[Path]
    unpaired_annotations: Sequence[Path]

    @property
    def all(self) -> list[Pair]:
        """The pairs of all splits."""
        return [pair for pairs in self.by_split.values() for pair in pairs]


def get_split(name: str) -> str | None:
    """Return the split that a name stands for: 'train', 'val' or 'test'; None for other names."""
    match = SPLIT_NAME.fullmatch(name.lower())
    return match.lastgroup if match else None


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return an expression for paths in any case, with the group ``split`` for ``{split}``."""
    text = re.escape(pattern).replace(re.escape('{split}'), r'(?P<split>[^/]+)', 1)
    return re.compile(text, re.IGNORECASE)


def pair_files(folder: Folder, layout: Layout, suffixes: Sequence[str]) -> Pairs:
    """Return the images in a layout's folders, each with the annotation file or map of its name.

    For example, ``images/train/a.jpg`` is paired with ``masks/train/a.png``. A file is unpaired if
    the other one is missing, or if there are several of its name, such as ``a.jpg`` and ``a.jpeg``.

    Args:
        folder: The dataset's folder.
        layout: A layout whose ``images`` and ``annotations`` are folders.
        suffixes: The suffixes of the annotation files or maps, in lower case.
    """
    all_images = list_by_split(
        folder, layout.images, files=folder.images, get_name=layout.get_image_name
    )
    all_annotations = list_by_split(
        folder,
        layout.annotations,
        files=folder.list_files(*suffixes),
        get_name=layout.get_annotation_name,
    )
    by_split = {}
    unpaired_images = []
    unpaired_annotations = []
    for split in sorted({*all_images, *all_annotations}):
        images = all_images.get(split, {})
        annotations = all_annotations.get(split, {})
        if split == 'test' and not annotations:
            continue  # images for testing need no annotations; describe_left_out counts them
        by_split[split] = []
        for name in dict.fromkeys([*images, *annotations]):
            # One image and one other file, unless one is missing or there are several suffixes.
            named_images = images.get(name, ())
            named_files = annotations.get(name, ())
            if len(named_images) == len(named_files) == 1:
                by_split[split].append((named_images[0], named_files[0]))
            else:
                unpaired_images += named_images
                unpaired_annotations += named_files
    return Pairs(by_split, unpaired_images, unpaired_annotations)


def list_by_split(
    folder: Folder, pattern: str, *, files: Iterable[Path], get_name: Callable[[Path], str]
) -> dict[str, FilesByName]:
    """Return the files in the folders of a pattern: {split: {name: files}}.

    Args:
        folder: The dataset's folder.
        pattern: A layout's path of a folder, such as ``images/{split}``. Without ``{split}``, all
            files are for training. Files in its subfolders are left out.
        files: Files of the dataset.
        get_name: Returns the name by which a file is found, or '' for a file that is left out.

    Raises:
        UserError: A split has several folders.
    """
    expression = compile_pattern(pattern or '.')
    found = {}
    folders = {}
    for file in files:
        match = expression.fullmatch(str(file.parent))
        if match is None:
            continue
        split = get_split(match['split']) if '{split}' in pattern else 'train'
        if split is None:
            continue
        first = folders.setdefault(split, file.parent)
        if first != file.parent:
            raise UserError(
                f'{folder.path} has the folders {first} and {file.parent} for {split}. Rename or '
                'move one of them'
            )
        name = get_name(file)
        if name:
            found.setdefault(split, {}).setdefault(name, []).append(file)
    return found


@dataclass(frozen=True)
class ImageSets:
    """The pairs of each split, and lines of ``ImageSets`` that name no pair, with their files."""

    by_split: PairsBySplit
    unknown_lines: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by split too


def read_image_sets(
    folder: Folder, layout: Layout, by_split: PairsBySplit, *, subfolder: str
) -> ImageSets:
    """Return the pairs that the lists of ``ImageSets`` name, by split.

    A line is the name of an XML file or a map without suffix. In a list for testing, it may also be
    the name of an image without one.

    Args:
        folder: The dataset's folder.
        layout: The layout of the folder. If it has folders of splits, or endings, there are no
            lists.
        by_split: The images with their XML files or maps. Without lists, they are returned as they
            are, all for training.
        subfolder: The folder in ``ImageSets`` that has the lists.
    """
    if '{split}' in layout.images or layout.endings:
        return ImageSets(by_split)
    lists = read_lists(folder, subfolder)
    if not lists:
        return ImageSets(by_split)
    by_name = {normalise(file.stem): (image, file) for image, file in by_split['train']}
    image_names = {normalise(image.stem) for image in folder.images}
    splits = {}
    known = set()  # a line of two lists counts once
    unknown = {}
    for split, lines in lists.items():
        listed = []
        for line, place in lines.items():
            pair = by_name.get(line) or by_name.get(line.strip())
            if pair:
                listed.append(pair)
            # Images for testing need no annotations.
            elif line not in known and (split != 'test' or line.strip() not in image_names):
                known.add(line)
                unknown.setdefault(split, []).append(place)
        if listed:
            splits[split] = list(dict.fromkeys(listed))
    return ImageSets(splits, unknown)


def read_lists(folder: Folder, subfolder: str) -> dict[str, dict[str, str]]:
    """Return the lines in the lists of ``ImageSets``, in one Unicode form, by split. Each has its
    file for messages.

    Without ``train.txt``, the lines of ``default.txt`` (CVAT) or ``trainval.txt`` (VOC) that no
    other list has are for training. Lists whose names are not those of splits, such as the list of
    the images of a class, are left out.
    """
    place = compile_pattern(f'ImageSets/{subfolder}/{{split}}.txt')
    lists = {}
    trainval = {}
    for file in folder.list_files('.txt'):
        match = place.fullmatch(str(file))
        name = match['split'].lower() if match else ''
        split = get_split(name)
        if split is None and name not in TRAIN_NAMES:
            continue
        lines = {
            normalise(line): f'{file.name}: {line!r}'
            for line in read_text(folder.path / file).split('\n')
            if line.strip()
        }
        if split is None:
            trainval.update(lines)
        else:
            lists.setdefault(split, {}).update(lines)
    if trainval and 'train' not in lists:
        held_out = set().union(*lists.values())
        lists['train'] = {line: trainval[line] for line in trainval if line not in held_out}
    return lists
