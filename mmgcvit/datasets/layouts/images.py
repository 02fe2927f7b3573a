"""Images without annotation files: in a folder for each class, or with an image of labels for each."""

import re
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import UserError, first_line, shorten
from ..headers import IGNORED, ONE_CHANNEL
from .parts import WORD, Found, Part, part_of

# Folders beside each other, whose files have the same names.
OF_IMAGES = ('images', 'image', 'imgs', 'img', 'img_dir', 'jpegimages')
OF_LABELS = ('labels', 'label', 'masks', 'mask', 'annotations', 'ann_dir', 'segmentationclass')
# What else is in the names of parts' folders.
BESIDE_PARTS = ('set', 'seg', 'data', 'dataset', 'images', 'img', 'split')
LABEL_ENDINGS = ('.png', '.bmp', '.tif', '.tiff')


def read_label_maps(folder: Path, files: Sequence[Path], names: Sequence[str] | None) -> Found | None:
    """The data of images and label files of one name, in ``images`` and ``labels`` or ``masks``; None without such.

    ``files`` are all image files in the folder, from it; the classes have names where a file has them.
    """
    there = {str(file).lower(): file for file in files}
    alone, labels, parts, endings = [], [], defaultdict(list), set()
    for file in files:
        depth = next((i for i, name in enumerate(file.parts[:-1]) if name.lower() in OF_IMAGES), None)
        if depth is None:
            continue
        before, name = Path(*file.parts[:depth]), Path(*file.parts[depth + 1 :]).with_suffix('')
        tried = (f'{before / other / name}{ending}'.lower() for other in OF_LABELS for ending in LABEL_ENDINGS)
        label = next((there[path] for path in tried if path in there), None)
        if label is None:
            alone.append(str(file))
            continue
        labels.append(label)
        endings.add((file.suffix, label.suffix))
        parts[part_of(file.parent) or 'train', Path(*file.parts[: depth + 1]), Path(*label.parts[: depth + 1])].append(
            str(name)
        )
    if not labels:
        return None
    if alone:
        raise UserError(f'{folder}: {len(alone)} images have no label file of their name ({shorten(alone)})')
    if len(endings) > 1:
        said = ', '.join(' with '.join(each) for each in sorted(endings))
        raise UserError(
            f'{folder} has images and label files of several endings ({said}); expected one of each, capitals alike: '
            'rename or convert the fewer'
        )
    found = {}
    for (part, images, of_labels), lines in parts.items():
        if part in found:
            raise UserError(
                f'{folder} has images of {part} in {found[part].images} and {images}; put them into one folder'
            )
        found[part] = Part((folder / images).resolve(), lines, labels=(folder / of_labels).resolve())
    most, notes = highest_label([folder / label for label in labels]), []
    if names is None:
        names = [f'class {number}' for number in range(most + 1)]
        notes = ['the classes have no names here: a file classes.txt with a line for each would name them']
    elif most >= len(names):
        raise UserError(f'{folder}: there are labels up to {most}, but only {len(names)} classes have names, from 0 on')
    layout = 'a label for each pixel (images)'
    return Found(folder, layout, ('labels',), tuple(names), found, notes, endings.pop())


def highest_label(files: Sequence[Path]) -> int:
    """The highest label in files of labels, what is not labelled aside; a UserError where they are no such files."""
    with ThreadPoolExecutor() as pool:
        used = np.any([*pool.map(labels_in, files)], axis=0)
    labels = np.flatnonzero(used[:IGNORED])
    if labels.max(initial=0) == 0:
        white, out = '', ''
        if used[IGNORED]:
            white = ', and 255, which is not labelled'
            out = '; copies with 1 for 255: PIL.Image.open(file).point(lambda value: value // 255).save(copy)'
        raise UserError(
            f'{files[0]} and the other label files have no label but 0{white}; expected 0 for the first class, '
            f'1 for the second, and so on{out}'
        )
    return int(labels.max())


def labels_in(file: Path) -> np.ndarray:
    """Which of the labels 0 to 255 a file has."""
    try:
        with Image.open(file) as image:
            mode, histogram = image.mode, image.histogram()
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'{file} cannot be read as labels ({first_line(error)})') from None
    if mode not in ONE_CHANNEL:
        raise UserError(
            f'{file} is of kind {mode}; expected one channel of eight bits: the number of a class each pixel'
        )
    used = np.array(histogram) > 0
    if mode == '1':
        # Loading gives 0 and 1 of such files, histograms 0 and 255.
        used[1], used[IGNORED] = used[IGNORED], False
    return used


def read_class_folders(folder: Path, files: Sequence[Path]) -> Found | None:
    """The data of a folder for each class, also below ``train`` and ``val``, likewise; None without such folders."""
    deep = [file.parts for file in files if len(file.parts) > 2]
    # Archives often have a part's name twice, as seg_train/seg_train/sea.
    depth = any(is_part(names[0]) for names in deep) * (1 + all(names[0] == names[1] for names in deep))
    # Of each part the images of each class, and what lies elsewhere.
    parts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    stray = []
    for file in files:
        part = part_of(Path(file.parts[0])) if depth else 'train'
        if part is None or len(file.parts) < 2 + depth:
            stray.append(str(file))
        else:
            parts[part][file.parts[depth]].append(str(file))
    names = tuple(sorted(parts['train']))
    if len(names) < 2 or len(stray) > len(files) / 2:
        return None
    # Folders of another layout, of which something is missing.
    if any(name.lower() in OF_IMAGES or (not depth and is_part(name)) for name in names):
        return None
    for part, classes in parts.items():
        others = sorted(classes.keys() - {*names})
        if others:
            raise UserError(f'{folder}: {part} has folders of no class of train ({shorten(others)}; {shorten(names)})')
    notes = [f'{len(stray)} images in no folder of a class are left out ({shorten(stray)})'] if stray else []
    found = {
        part: Part(folder.resolve(), [f'{name} {names.index(each)}' for each in names for name in classes[each]])
        for part, classes in parts.items()
    }
    return Found(folder, 'a folder for each class', ('classes',), names, found, notes)


def is_part(name: str) -> bool:
    """Whether a folder is called as a part of data, and as nothing else: ``val2017``, ``seg_train``, ``test_set``."""
    words = [word for word in re.split(r'[_.\- ]', name.lower()) if word not in BESIDE_PARTS]
    return len(words) == 1 and WORD.fullmatch(words[0]) is not None
