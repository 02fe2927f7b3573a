"""Leave out images and annotations that cannot be used, or that a dataset has more than once."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import MANY, UserError, escape_controls, format_count, get_first_line, shorten
from ...files import compute_sha256
from ..decoding import decode_image, read_sizes
from .dataset_info import DatasetInfo, Split, read_each
from .plausible import (
    MIN_CUT,
    ObjectProblem,
    are_inside,
    are_numbers,
    are_too_many,
    find_faults,
    get_corners,
)


def leave_out_unusable(dataset: DatasetInfo) -> None:
    """Leave out images that cannot be read or have another size than annotated, copies, and objects
    that must be wrong.

    Notes name them. Copies are looked for among readable images, since unreadable ones may all be
    the same error page. Raise a UserError if too many images or objects are left out, except
    copies, or a split has no image or object left.
    """
    problems, looks, empty = list(dict.fromkeys(dataset.problems)), [], []
    labelled = [
        name for name, split in dataset.splits.items() if dataset.has_objects and split.objects
    ]
    totals = Counter(
        'object' if isinstance(problem, ObjectProblem) else 'image' for problem in problems
    )
    for name, split in dataset.splits.items():
        with ThreadPoolExecutor() as pool:
            errors = [
                *pool.map(partial(find_problem, split.image_folder), split.image_names, split.sizes)
            ]
        totals['image'] += len(errors)
        problems += filter(None, errors)
        dataset.splits[name] = split.select({i for i, error in enumerate(errors) if error is None})
    problems += leave_out_copies(dataset)
    for name, split in dataset.splits.items() if dataset.has_objects else ():
        split, rotated = leave_out_rotated(split)
        totals['object'] += len(split.content['annotations'])
        dataset.splits[name], faulty, look = leave_out_objects(split, dataset)
        problems += rotated + faulty
        looks += [f' Boxes of {name} look like {look}.'] if look else []
        empty += (
            [f'object of {name}'] if name in labelled and not dataset.splits[name].objects else []
        )
    if not problems:
        return
    counts = Counter(
        'object' if isinstance(problem, ObjectProblem) else 'image' for problem in problems
    )
    each = [
        f'{format_count(counts[noun], "problem")} in {format_count(totals[noun], noun)}'
        for noun in sorted(totals)
    ]
    count = ', '.join(text for text in each if text[0] != '0')
    more = ['...'] if len(problems) > MANY else []
    named = escape_controls('\n  '.join(['', *problems[:MANY], *more]))
    empty += [f'image of {name}' for name, split in dataset.splits.items() if not split.image_names]
    if empty or any(are_too_many(counts[noun], totals[noun]) for noun in totals):
        limit = 'mmgcvit leaves out at most a tenth of the images and of the objects'
        limit = f'No {empty[0]} can be used' if empty else limit
        raise UserError(
            f'{dataset.folder}: {count}. {limit}.{"".join(looks)} Repair or remove these:{named}'
        )
    dataset.notes.append(f'{count}. These images and annotations are left out:{named}')


def check_class_names(folder: Path, classes: Sequence[str]) -> None:
    """Raise a UserError for empty names, control characters, and names that differ in case, blanks
    or Unicode form.
    """
    # Such names are nearly always one class. macOS, for example, writes an umlaut as two
    # characters.
    seen: dict[str, str] = {}
    for name in classes:
        form = ' '.join(unicodedata.normalize('NFKC', name).casefold().split())
        if any(unicodedata.category(character) == 'Cc' for character in name):
            raise UserError(f'{folder} has the class {name!r}, with control characters. Rename it')
        if not form or form in seen:
            same = (
                f'{seen[form]!r} and {name!r}, equal but for case, blanks or Unicode form'
                if form
                else repr(name)
            )
            raise UserError(f'{folder} has the classes {same}. Give each class a name of its own')
        seen[form] = name


def find_problem(
    folder: Path, name: str, annotated_size: tuple[int, int] | None = None
) -> str | None:
    """Return a message if an image is missing, undecodable or of another size, or its name cannot
    be in a list.
    """
    if not {*name}.isdisjoint('\t\n\r') or name.encode(errors='replace').decode() != name:
        return f'{folder / name} has a tab, a line break or invalid UTF-8 in its name'
    try:
        sizes = decode_image(folder / name)
    except FileNotFoundError:
        return f'{folder / name} is missing'
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return f'{folder / name} cannot be read ({get_first_line(error)})'
    if annotated_size not in (None, *sizes):
        width, height = (f'{side!r:.20}' for side in annotated_size)
        return f'{folder / name} is {sizes[1][0]} x {sizes[1][1]}, annotated as {width} x {height}'
    return None


def leave_out_rotated(split: Split) -> tuple[Split, list[str]]:
    """Leave out images with the size before their EXIF rotation but boxes after it.

    Also return messages.
    """
    objects, images = split.content['annotations'], split.content['images']
    corners, sides = (
        get_corners(objects),
        np.reshape(split.list_sizes(objects), (-1, 2)).astype(float),
    )
    # Of boxes that fit only the picture before the rotation, or only that after it, more must be of
    # the latter.
    fits = are_inside(corners, sides[:, ::-1]).astype(int) - are_inside(corners, sides)
    if not (fits > 0).any():
        return split, []
    found, _ = read_each(read_sizes, [split.image_folder / name for name in split.image_names])
    sizes = zip(split.sizes, found, strict=True)
    rotated = {
        i for i, (annotated, (before, after)) in enumerate(sizes) if annotated == before != after
    }
    ids = {images[i]['id'] for i in rotated}
    if fits[[obj['image_id'] in ids for obj in objects]].sum() <= 0:
        return split, []
    reason = 'is annotated with its size before the EXIF rotation, but such images have boxes of the picture after it'
    messages = [f'{split.image_folder / images[i]["file_name"]} {reason}' for i in sorted(rotated)]
    return split.select({*range(len(images))} - rotated), messages


def leave_out_objects(split: Split, dataset: DatasetInfo) -> tuple[Split, list[str], str]:
    """Leave out wrong objects, and cut the others at the edges of images.

    Also return messages and the boxes' look.
    """
    objects, messages, kept = split.content['annotations'], [], []
    sizes, corners = split.list_sizes(objects), get_corners(objects)
    faults, look = find_faults(
        objects, sizes, dataset.annotation_types[0] == 'masks', dataset.box_format
    )
    names = {image['id']: image['file_name'] for image in split.content['images']}
    cut = corners.clip(0, np.tile(np.reshape(sizes, (-1, 2)).astype(float), 2))
    boxes = np.hstack([cut[:, :2], cut[:, 2:] - cut[:, :2]]).round(2).tolist()
    are_cut = (abs(cut - corners) > MIN_CUT).any(1)
    for obj, fault, box, is_cut in zip(objects, faults, boxes, are_cut, strict=True):
        if fault:
            text = f'{names[obj["image_id"]]}: annotation {obj["id"]}, bbox {obj["bbox"]!s:.80}: {fault}'
            messages.append(ObjectProblem(text))
        else:
            area = min(obj['area'], round(box[2] * box[3], 2))
            kept.append({**obj, 'bbox': box, 'area': area} if is_cut else obj)
    return Split(split.image_folder, {**split.content, 'annotations': kept}), messages, look


def find_same_images(paths: Sequence[Path]) -> list[int]:
    """Return for each image the index of the first with the same bytes.

    Empty or unreadable files equal no other.
    """

    def hash_file(path: Path, size: int) -> str | None:
        with suppress(OSError):
            return compute_sha256(path) if size and counts[size] > 1 else None

    firsts: dict[Any, int] = {}
    with ThreadPoolExecutor() as pool:
        # os.path.isfile raises no error if a name is too long.
        sizes = [*pool.map(lambda path: os.path.isfile(path) and path.stat().st_size, paths)]  # noqa: PTH113
        counts = Counter(sizes)
        digests = pool.map(hash_file, paths, sizes)
        return [firsts.setdefault(digest or index, index) for index, digest in enumerate(digests)]


def group_objects(
    objects: Iterable[dict[str, Any]], with_masks: bool
) -> tuple[dict[Any, Any], set[int]]:
    """Return masks of COCO annotations by image, then by (class, box, iscrowd), and the indices of
    repeated ones.

    Without masks, objects with the same box are the same. Boxes are rounded: computed ones are not
    exact.
    """
    groups, copies = defaultdict(lambda: defaultdict(list)), set()
    for index, obj in enumerate(objects):
        box = str(obj['bbox'])
        if are_numbers(obj['bbox']):
            box = tuple(
                round(x, 1 if max(obj['bbox']) > 1 else 6) for x in obj['bbox']
            )  # fractions are rejected later
        masks = groups[obj['image_id']][obj['category_id'], box, obj.get('iscrowd') or 0]
        if (mask := (with_masks and obj.get('segmentation')) or None) in masks:
            copies.add(index)
        else:
            masks.append(mask)
    return groups, copies


def leave_out_copies(dataset: DatasetInfo) -> list[str]:
    """Leave out images and objects that a dataset has more than once, in place. Notes count and
    name them.

    Images of another split are left out of training. Of the same images in one split, the first one
    stays if all have the same annotations; otherwise all are left out, and the returned messages
    name them.
    """
    problems = []
    paths = {
        name: [split.image_folder / file for file in split.image_names]
        for name, split in dataset.splits.items()
    }
    same = iter(find_same_images([*chain(*paths.values())]))
    firsts = {name: [*islice(same, len(paths[name]))] for name in paths}
    others = sorted(paths.keys() - {'train'})
    held_out = {*chain(*(firsts[name] for name in others))}
    in_val = {*firsts.get('val', ())}
    for name, split in [*dataset.splits.items()]:
        split_paths = paths[name]
        # Images with the same objects, the same class, or the same map have the same value.
        labels = (
            leave_out_repeated(dataset, name)
            if dataset.has_objects
            else [x for _, x in split.content]
        )
        if dataset.annotation_types == ('seg_maps',):
            labels = find_same_images([split.image_folder / label for label in labels])
        seen, shared, repeated, different = {}, set(), set(), set()
        for index, first in enumerate(firsts[name]):
            other = seen.setdefault(first, index)
            if name == 'train' and first in held_out:
                shared.add(index)
            elif other != index and labels[other] == labels[index]:
                repeated.add(index)
            elif other != index:
                different |= {other, index}
        also_in_val = {
            i for i, first in enumerate(firsts[name]) if name == 'test' and first in in_val
        }
        notes = {f'left out of {name} (also in {" or ".join(others)})': shared}
        notes |= {
            f'left out of {name} (repeated)': repeated - different,
            'test is not independent of val': also_in_val,
        }
        for note, indices in notes.items():
            if indices:
                count, files = (
                    format_count(len(indices), 'image'),
                    [str(split_paths[i]) for i in sorted(indices)],
                )
                dataset.notes.append(f'{note}: {count} ({shorten(files)})')
        if shared and len(shared) == len(split_paths):
            advice = 'Put other images into one of the splits, or remove val: then a fifth of train is held out for it'
            raise UserError(f'{dataset.folder}: {dataset.notes[-1]}, so none is left. {advice}')
        problems += [
            f'{split_paths[i]} is there several times, with different annotations'
            for i in sorted(different)
        ]
        left_out = shared.union(repeated, different)
        dataset.splits[name] = dataset.splits[name].select({*range(len(split_paths))} - left_out)
    return problems


def leave_out_repeated(dataset: DatasetInfo, name: str) -> list[Any]:
    """Leave out objects of a split that repeat another one, in place, with a note.

    Return the objects of each image.
    """
    split = dataset.splits[name]
    objects = split.content['annotations']
    groups, copies = group_objects(objects, dataset.annotation_types[0] == 'masks')
    if copies:
        kept = [obj for index, obj in enumerate(objects) if index not in copies]
        dataset.splits[name] = Split(split.image_folder, {**split.content, 'annotations': kept})
        names = {image['id']: image['file_name'] for image in split.content['images']}
        files = shorten([*dict.fromkeys(names[objects[i]['image_id']] for i in sorted(copies))])
        dataset.notes.append(
            f'left out of {name} (repeated): {format_count(len(copies), "object")} (in {files})'
        )
    return [groups[image['id']] for image in split.content['images']]
