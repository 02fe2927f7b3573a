"""Layouts: where tools and public datasets put images, annotations and splits in a folder.

Each format declares its layouts in a table (``LAYOUTS`` in ``formats/*.py``). A folder fits exactly
one with annotation files, else one of maps, else class folders, or it is rejected, with the tree of
the nearest layout if there is one. A new layout of COCO, Pascal VOC or maps is a row of a table.
The tables of YOLO, whose data.yaml has the paths, and of class folders are for messages and docs.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError, format_count, shorten
from ..files import IMAGE_SUFFIXES, list_outputs, read_text
from .records import DatasetInfo

# Names of splits (in lower case) for folders, files and keys: train, Training, train2017, val_set.
SPLIT_NAME = re.compile(
    r'(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<test>test(?:ing)?))'
    r'[_\- ]?(?:set|data|images)?\d*'
)
# Other names of annotation files and lists for training, by CVAT, VOC and MMYOLO.
TRAIN_NAMES = ('default', 'trainval')


def get_split(name: str) -> str | None:
    """Return the split that a name stands for: 'train', 'val' or 'test'; None for other names."""
    match = SPLIT_NAME.fullmatch(name.lower())
    return match.lastgroup if match else None


class Layout(NamedTuple):
    """Where a tool puts files. In paths, ``{split}`` stands for the name of a split."""

    tools: str  # which write it
    source: str  # a URL that describes it
    tree: str  # for messages and docs
    images: str = ''  # the folder of the images; '': the dataset's
    annotations: str = ''  # the annotation file, or the folder of annotation files or maps
    endings: tuple[str, ...] = ()  # of the names of maps that are beside their images
    task: str = ''  # what maps are by this layout: 'semantic' or 'segment'; '' where it is asked


class Match(NamedTuple):
    """A layout, and the function that reads a folder that fits it for a value of ``--task``.

    All of these functions take the task. Those of COCO, YOLO and Pascal VOC do not need it.
    """

    layout: Layout
    read: Callable[[str | None], DatasetInfo] | None = None
    misfit: str = ''  # why the folder does not fit
    # How much of it fits: the number of folders of images (COCO), of labelled images (YOLO) or of
    # pairs (VOC). The misfit that is closest is shown.
    closeness: int = 0


Pair = tuple[Path, Path]  # an image and its annotation file or map
PairsBySplit = Mapping[str, Sequence[Pair]]
FilesByName = defaultdict[str, list[Path]]  # by a name without suffix; empty for others


class Pairs(NamedTuple):
    """The images of a dataset with their annotation files or maps, relative to its folder."""

    by_split: PairsBySplit
    unpaired_images: list[Path]  # without an annotation file or map
    unpaired_annotations: list[Path]  # without an image


@dataclass(frozen=True)
class Folder:
    """The files of a dataset's folder."""

    path: Path
    files: Sequence[Path]  # relative to ``path``
    outputs: Sequence[Path]  # what mmgcvit's commands have written

    def list_files(self, *suffixes: str) -> list[Path]:
        """Return the files with one of these suffixes, in any case.

        The files .aux.xml, which GDAL writes beside images, are left out.
        """
        return [
            file
            for file in self.files
            if file.suffix.lower() in suffixes and not file.name.lower().endswith('.aux.xml')
        ]

    @cached_property
    def images(self) -> list[Path]:
        return self.list_files(*IMAGE_SUFFIXES)


def scan_folder(folder: Path) -> Folder:
    """List the files below a folder. Skip hidden files and Synology's thumbnails.

    Outputs of mmgcvit's commands are left out. Links to folders are followed (:func:`walk`).
    """
    files = []
    outputs = []
    for parent, folders, names in walk(folder):
        inside = parent.relative_to(folder)
        everything = [*folders, *names]
        written = list_outputs(parent, everything)
        outputs += [inside / name for name in sorted(written)]
        skipped = written | {name for name in everything if name.startswith(('.', '@eaDir'))}
        folders[:] = sorted(set(folders) - skipped)
        for name in set(names) - skipped:
            path = parent / name
            # Pipes and devices would be waited for. Dangling links are missing files.
            if path.is_file() or not path.exists():
                files.append(inside / name)
    return Folder(folder, sorted(files), outputs)


def walk(start: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder with the names of its folders and files, as ``os.walk`` does.

    It also follows links to folders, but yields each folder once: at its own path or, if that is
    outside of ``start``, at the first link. What a caller removes from the list of folders is not
    visited.
    """
    # The real paths of folders that are not visited again. A link to a folder above would lead
    # here again.
    seen = set(map(str, start.resolve().parents))
    # os.walk does not follow links, so each is a start of its own. Links come last: a folder
    # inside is visited at its own path, not at that of a link.
    starts = [start]
    while starts:
        for path, folders, names in os.walk(starts.pop(0), onerror=raise_unreadable):
            parent = Path(path)
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            yield parent, folders, names
            starts += [parent / name for name in folders if (parent / name).is_symlink()]


def raise_unreadable(error: OSError) -> None:
    raise UserError(f'{error.filename} cannot be read ({error.strerror}). Change its permissions')


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return an expression for paths in any case, with the group ``split`` for ``{split}``."""
    text = re.escape(pattern).replace(re.escape('{split}'), r'(?P<split>[^/]+)', 1)
    return re.compile(text, re.IGNORECASE)


def list_by_split(
    folder: Folder, pattern: str, files: Iterable[Path]
) -> defaultdict[str, FilesByName]:
    """Return the files in the folders of a pattern: {split: {name without suffix: files}}.

    Args:
        folder: The dataset's folder.
        pattern: A layout's path of a folder, such as ``images/{split}``. Without ``{split}``, all
            files are for training. Files in folders below are not of the layout.
        files: Files of the dataset.

    Raises:
        UserError: A split has several folders.
    """
    expression = compile_pattern(pattern or '.')
    found = defaultdict(partial(defaultdict, list))
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
        found[split][file.stem].append(file)
    return found


def pair_files(folder: Folder, layout: Layout, suffixes: Sequence[str]) -> Pairs:
    """Return the images in a layout's folders with the files of the same names.

    Args:
        folder: The dataset's folder.
        layout: Its ``images`` and ``annotations`` are folders.
        suffixes: Those of the other files, in lower case.
    """
    images = list_by_split(folder, layout.images, folder.images)
    others = list_by_split(folder, layout.annotations, folder.list_files(*suffixes))
    pairs = Pairs({}, [], [])
    for split in sorted({*images, *others}):
        own_images = images[split]
        own_others = others[split]
        if layout.endings:  # both folders are the same, so each list has images and maps
            own_images, _ = split_by_ending(own_images, layout.endings)
            _, own_others = split_by_ending(own_others, layout.endings)
        if split == 'test' and not own_others:
            continue  # images for testing need no annotations; describe_left_out counts them
        pairs.by_split[split] = []
        for name in dict.fromkeys([*own_images, *own_others]):
            # Those of this name: one each, unless one is missing or suffixes differ.
            named_images = own_images[name]
            named_others = own_others[name]
            if len(named_images) == len(named_others) == 1:
                pairs.by_split[split].append((*named_images, *named_others))
            else:
                pairs.unpaired_images.extend(named_images)
                pairs.unpaired_annotations.extend(named_others)
    return pairs


def split_by_ending(files: FilesByName, endings: Sequence[str]) -> tuple[FilesByName, FilesByName]:
    """Return images and maps by their common names. The names of maps have one of the endings."""
    images = defaultdict(list)
    maps = defaultdict(list)
    for name, found in files.items():
        stem = re.sub(f'(?i)({"|".join(endings)})$', '', name)
        if stem == name:
            images[re.sub('(?i)_img$', '', name)] += found
        else:
            maps[stem] += found
    return images, maps


def read_image_sets(
    folder: Folder, layout: Layout, by_split: PairsBySplit, subfolder: str
) -> tuple[PairsBySplit, list[str]]:
    """Return the pairs of each split that the lists of ``ImageSets`` name, and unknown lines.

    Args:
        folder: The dataset's folder.
        layout: Its layout. One with folders of splits, or with endings, has no lists.
        by_split: The images with their XML files or maps. Without a list, all are for training.
        subfolder: The folder in ``ImageSets`` that has the lists.
    """
    if '{split}' in layout.images or layout.endings:
        return by_split, []
    lists = read_lists(folder, subfolder)
    if not lists:
        return by_split, []
    by_name = {pair[1].stem: pair for pair in by_split['train']}
    found = {}
    unknown = {}  # a line of two lists counts once
    for split, lines in lists.items():
        found[split] = []
        for line, place in lines.items():
            pair = find_pair(line, by_name)
            if pair:
                found[split].append(pair)
            elif split != 'test':  # images for testing need no annotations
                unknown.setdefault(line, place)
    splits = {split: list(dict.fromkeys(listed)) for split, listed in found.items() if listed}
    return splits, [*unknown.values()]


def find_pair(line: str, by_name: Mapping[str, Pair]) -> Pair | None:
    """Return the pair that a line names: as it is, by a path, or by a path with a suffix."""
    path = Path(line.strip())
    name = path.name
    if path.suffix.lower() in (*IMAGE_SUFFIXES, '.xml'):
        name = path.stem
    return by_name.get(line) or by_name.get(path.name) or by_name.get(name)


def read_lists(folder: Folder, subfolder: str) -> dict[str, dict[str, str]]:
    """Return the lines in the lists of ``ImageSets``, by split, with their file for messages.

    Without ``train.txt``, the lines of ``default.txt`` (CVAT) or ``trainval.txt`` (VOC) that no
    other list has are for training. Lists with other names, as of the images of a class, are left
    out.
    """
    place = compile_pattern(f'ImageSets/{subfolder}/{{split}}.txt')
    lists = {}
    for file in folder.list_files('.txt'):
        match = place.fullmatch(str(file))
        name = match['split'].lower() if match else ''
        split = 'trainval' if name in TRAIN_NAMES else get_split(name)
        if split is None:
            continue
        lines = lists.setdefault(split, {})
        for line in read_text(folder.path / file).split('\n'):
            if line.strip():
                lines[line] = f'{file.name}: {line!r}'
    trainval = lists.pop('trainval', None)
    if trainval and 'train' not in lists:
        held_out = set().union(*lists.values())
        lists['train'] = {line: trainval[line] for line in trainval if line not in held_out}
    return lists


def describe_left_out(folder: Folder, dataset: DatasetInfo) -> list[str]:
    """Return notes that count the images that no annotation names, and outputs of commands."""
    paths = [path for split in dataset.splits.values() for path in split.image_paths]
    paths += [folder.path / file for file in dataset.maps]
    resolve = cache(resolve_folder)
    read = {(resolve(path.parent), path.name) for path in paths}
    unread = [
        file
        for file in folder.images
        if (resolve(folder.path / file.parent), file.name) not in read
    ]
    notes = []
    if unread:
        notes.append(
            f'left out, because nothing that can be used says what they show: '
            f'{format_count(len(unread), "image")} ({shorten(unread)})'
        )
    if folder.outputs:
        notes.append(f'left out, because commands of mmgcvit wrote them: {shorten(folder.outputs)}')
    return notes


def resolve_folder(folder: Path) -> str:
    """Return the path of a folder without links. One that no folder can have stays as it is."""
    try:
        return os.path.realpath(folder)
    except ValueError:
        return str(folder)
