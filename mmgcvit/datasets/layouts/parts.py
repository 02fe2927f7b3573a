"""What a folder holds, whatever its layout, as training takes it; and a part for validation, where it has none."""

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import written_whole
from ..classes import coco_categories

VAL_SHARE = 0.2
# By these words in the names of folders and files one tells what they are for.
WORD = re.compile(r'(?P<train>train(ing)?\d*)|(?P<val>val(id|idation)?\d*)|(?P<test>test(ing)?\d*)')
OBJECTS = ('boxes', 'masks')
# What Roboflow puts between an image's name and the number of a changed copy.
COPY = '.rf.'


@dataclass
class Part:
    """Images for one purpose: to train on, to validate, to test."""

    images: Path  # the folder from which the images' names go on
    # What is on them: an object of COCO's format; or a line for each, its name and with classes of whole images a space
    # and the class's number.
    content: dict[str, Any] | list[str]
    file: Path | None = None  # the user's own annotation file, where that has just this content
    labels: Path | None = None  # the folder of label files, of images with a label for each pixel

    @property
    def names(self) -> list[str]:
        """The images' names."""
        if isinstance(self.content, dict):
            return [image['file_name'] for image in self.content['images']]
        return self.content

    def paths(self) -> list[str]:
        """Where the images are, links followed; of those with label files without the names' endings."""
        has_classes = not isinstance(self.content, dict) and not self.labels
        names = [line.rsplit(' ', 1)[0] for line in self.content] if has_classes else self.names
        return [os.path.realpath(self.images / name) for name in names]

    def classes_of_each(self) -> list[set[Any]]:
        """The classes on each image; of labels for each pixel none is known."""
        if isinstance(self.content, dict):
            found = {image['id']: set() for image in self.content['images']}
            for annotation in self.content['annotations']:
                found.get(annotation['image_id'], set()).add(annotation['category_id'])
            return list(found.values())
        return [set() if self.labels else {line.rsplit(' ', 1)[-1]} for line in self.content]

    def only(self, chosen: set[int]) -> 'Part':
        """The part of the images with these numbers."""
        if not isinstance(self.content, dict):
            return Part(self.images, [line for i, line in enumerate(self.content) if i in chosen], labels=self.labels)
        images = [image for i, image in enumerate(self.content['images']) if i in chosen]
        ids = {image['id'] for image in images}
        annotations = [each for each in self.content['annotations'] if each['image_id'] in ids]
        return Part(self.images, {**self.content, 'images': images, 'annotations': annotations})


@dataclass
class Found:
    """What a folder holds."""

    folder: Path
    layout: str  # in words
    # What can be learned of it, first what is meant to be: boxes (and masks, where all objects have some), labels for
    # each pixel or classes of whole images.
    kinds: tuple[str, ...]
    classes: tuple[str, ...]  # their names, in the order of their numbers
    parts: dict[str, Part]  # train, and perhaps val and test
    notes: list[str] = field(default_factory=list)  # what the user should know
    suffixes: tuple[str, str] = ('', '')  # how names of images and label files go on, of labels for each pixel

    def __post_init__(self) -> None:
        if self.kinds[0] in OBJECTS:
            objects = (each for part in self.parts.values() for each in part.content['annotations'])
            masked = {bool(each.get('segmentation')) for each in objects}
            self.kinds = ('masks', 'boxes') if masked == {True} else ('boxes',)
            if len(masked) > 1:
                self.notes.append('some objects have outlines, others boxes: of all the boxes are taken')
        if 'train' in self.parts and 'val' in self.parts:
            self.separate_validation()

    def separate_validation(self) -> None:
        """Train on no image that validates; where none would be left to train on, nothing is set aside so far."""
        train, held_out = self.parts['train'], {*self.parts['val'].paths()}
        rest = {number for number, path in enumerate(train.paths()) if path not in held_out}
        count = len(train.names) - len(rest)
        if not rest:
            del self.parts['val']
            self.notes.append('all training images are named for validation too: that part is not used')
        elif count:
            self.parts['train'] = train.only(rest)
            self.notes.append(f'{count} of the training images are for validation too: they are not trained on')

    def __str__(self) -> str:
        """In a line what there is, in others what should be known."""
        counts = ', '.join(f'{len(part.names)} images ({name})' for name, part in self.parts.items())
        objects = sum(len(part.content['annotations']) for part in self.parts.values() if self.kinds[0] in OBJECTS)
        of = f', {objects} objects' if objects else ''
        names = ', '.join(self.classes[:8]) + (', ...' if len(self.classes) > 8 else '')
        many = f'{len(self.classes)} classes' if len(self.classes) > 1 else '1 class'
        return '\n'.join([f'{self.folder}: {self.layout}, {counts}{of}, {many} ({names})', *self.notes])

    def with_validation(self) -> None:
        """Set a fifth of the training images aside for validation, unless there are such.

        The same ones each time, and few others where images are added: chosen by a digest of their names, copies of
        one image together. No class is left without an image to train on.
        """
        if 'train' not in self.parts:
            raise UserError(f'{self.folder} has images for {" and ".join(self.parts)}, but none to train on')
        train = self.parts['train']
        if 'val' in self.parts:
            return
        if len(train.names) < 2:
            raise UserError(f'{self.folder} has {len(train.names)} image to train on; one more is needed to validate')
        classes = train.classes_of_each()
        left = Counter(name for each in classes for name in each)
        copies = defaultdict(set)
        for number, name in enumerate(train.names):
            copies[name.split(COPY)[0]].add(number)
        chosen, total = set(), len(classes)
        for name in sorted(copies, key=lambda name: hashlib.sha256(name.encode()).digest()):
            used = Counter(each for number in copies[name] for each in classes[number])
            is_left = len(chosen | copies[name]) < total and all(left[each] > used[each] for each in used)
            if len(chosen) < max(1, round(VAL_SHARE * total)) and is_left:
                chosen |= copies[name]
                left.subtract(used)
        if not chosen:
            raise UserError(
                f'{self.folder}: each image is the only one of a class, or all are copies of one; more are needed to '
                'validate'
            )
        rest = {name: part for name, part in self.parts.items() if name != 'train'}
        self.parts = {'train': train.only({*range(total)} - chosen), 'val': train.only(chosen), **rest}
        self.notes.append(f'no part for validation: {len(chosen)} of {total} images are set aside, by their names')


def part_of(path: Path) -> str | None:
    """Which part a path belongs to, if any, by a word in its names, the last first: ``train2017``, ``my_val.json``."""
    found = (WORD.fullmatch(word) for name in reversed(path.parts) for word in re.split(r'[_.\- ]', name.lower()))
    return next((match.lastgroup for match in found if match), None)


def content_of(
    names: Sequence[str], images: Iterable[tuple[Path, tuple[int, int], Iterable[tuple[int, dict[str, Any]]]]]
) -> dict[str, Any]:
    """A content of COCO's format, of classes and of images: width and height, and of each object class and entries."""
    content = {'images': [], 'annotations': [], 'categories': coco_categories(names)}
    for number, (path, (width, height), objects) in enumerate(images, start=1):
        content['images'].append({'id': number, 'file_name': str(path), 'width': width, 'height': height})
        for label, entries in objects:
            ids = {'id': len(content['annotations']) + 1, 'image_id': number}
            content['annotations'].append({**ids, 'category_id': content['categories'][label]['id'], **entries})
    return content


def named_from(folder: Path, content: dict[str, Any]) -> Part:
    """The part whose images are named from a folder on; those elsewhere keep their whole paths."""
    for image in content['images']:
        path = Path(image['file_name']).resolve()
        image['file_name'] = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
    return Part(folder, content)


def write_annotations(found: Found, folder: Path, relative: bool = False) -> None:
    """Write the annotation files of parts that have none of the user's own, and let these be theirs.

    With ``relative`` the images' names go on from that folder, else from where they are.
    """
    for name, part in found.parts.items():
        if part.file is not None:
            continue
        if relative:
            start = Path(os.path.relpath(part.images, folder))
            for image in part.content['images']:
                image['file_name'] = str(start / image['file_name'])
            part.images = folder
        is_json = isinstance(part.content, dict)
        part.file = folder / f'{name}{".json" if is_json else ".txt"}'
        text = json.dumps(part.content) if is_json else '\n'.join(part.content) + '\n'
        with written_whole(part.file) as unfinished:
            unfinished.write_text(text, encoding='utf-8')


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in the order of their names, by their paths from it; hidden ones are passed over."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = Path(parent).resolve()
        # Links may lead round in a circle.
        is_new = real not in seen
        seen.add(real)
        folders[:] = sorted(name for name in folders if is_new and not name.startswith('.'))
        for name in sorted(names):
            if is_new and not name.startswith('.'):
                yield Path(parent, name).relative_to(folder)
