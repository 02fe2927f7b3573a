"""Find images and objects that a dataset has more than once, whatever their names, links or splits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ...errors import UserError, format_count, shorten
from ...files import compute_sha256
from .dataset_info import DatasetInfo, Split
from .plausible import are_numbers


def find_same_images(paths: Sequence[Path]) -> list[int]:
    """Return, for each image, the index of the first image with the same bytes.

    So it does not matter how a path is written, or whether a file is a link or a copy. Files that are empty or cannot
    be read are like no other. Only files of equal sizes are read.
    """

    def read(path: Path, size: int | None = None) -> int | str:
        try:
            if size is None:
                return path.stat().st_size if path.is_file() else 0
            return compute_sha256(path) if size and counts[size] > 1 else 0
        except OSError:  # for example, its name is too long
            return 0

    firsts: dict[Any, int] = {}
    with ThreadPoolExecutor() as pool:
        sizes = [*pool.map(read, paths)]
        counts = Counter(sizes)
        digests = pool.map(read, paths, sizes)
        return [firsts.setdefault(digest or index, index) for index, digest in enumerate(digests)]


def group_objects(objects: Iterable[dict[str, Any]]) -> tuple[dict[Any, dict[Any, list[Any]]], set[int]]:
    """Return the masks of COCO annotations by their image, and then by their class, box and ``iscrowd``.

    Also return the indices of the annotations that repeat an earlier one.
    """
    groups: dict[Any, dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
    copies = set()
    for index, obj in enumerate(objects):
        box = tuple(obj['bbox']) if are_numbers(obj['bbox']) else str(obj['bbox'])
        masks = groups[obj['image_id']][obj['category_id'], box, obj.get('iscrowd') or 0]
        if (mask := obj.get('segmentation') or None) in masks:
            copies.add(index)
        else:
            masks.append(mask)
    return groups, copies


def leave_out_copies(dataset: DatasetInfo) -> list[str]:
    """Leave out images and objects that a dataset has more than once, in place. Notes count and name them.

    Images of another split are left out of training. Of the same images in one split, the first one stays if all have
    the same annotations; otherwise all are left out, and messages name them. Raise a UserError if all training images
    are in another split.
    """
    problems = []
    paths = {name: [split.image_folder / file for file in split.image_names] for name, split in dataset.splits.items()}
    same = iter(find_same_images([*chain(*paths.values())]))
    firsts = {name: [*islice(same, len(paths[name]))] for name in paths}
    others = sorted(paths.keys() - {'train'})
    held_out = {*chain(*(firsts[name] for name in others))}
    for name, split_paths in paths.items():
        labels = leave_out_repeated(dataset, name) if dataset.has_objects else list_labels(dataset, name)
        seen, shared, repeated, different = {}, set(), set(), set()
        for index, first in enumerate(firsts[name]):
            other = seen.setdefault(first, index)
            if name == 'train' and first in held_out:
                shared.add(index)
            elif other != index and labels[other] == labels[index]:
                repeated.add(index)
            elif other != index:
                different |= {other, index}
        for reason, indices in {f'also in {" or ".join(others)}': shared, 'repeated': repeated - different}.items():
            if indices:
                count, files = format_count(len(indices), 'image'), [str(split_paths[i]) for i in sorted(indices)]
                dataset.notes.append(f'left out of {name} ({reason}): {count} ({shorten(files)})')
        if shared and len(shared) == len(split_paths):
            raise UserError(
                f'{dataset.folder}: {dataset.notes[-1]}, so none is left. Put other images into one of the splits, or '
                'remove val: then a fifth of train is held out for validation'
            )
        different = sorted(different)
        problems += [f'{split_paths[i]} is there several times, with different annotations' for i in different]
        if left_out := shared.union(repeated, different):
            dataset.splits[name] = dataset.splits[name].select({*range(len(split_paths))} - left_out)
    return problems


def list_labels(dataset: DatasetInfo, name: str) -> list[Any]:
    """Return a value for each image of a split. Images with the same class, or the same map, have the same value."""
    split = dataset.splits[name]
    labels = [label for _, label in split.content]
    is_map = dataset.annotation_types == ('seg_maps',)
    return find_same_images([split.image_folder / label for label in labels]) if is_map else labels


def leave_out_repeated(dataset: DatasetInfo, name: str) -> list[Any]:
    """Leave out objects of a split that repeat another one, in place, with a note. Return the objects of each image."""
    split = dataset.splits[name]
    objects = split.content['annotations']
    groups, copies = group_objects(objects)
    if copies:
        kept = [obj for index, obj in enumerate(objects) if index not in copies]
        dataset.splits[name] = Split(split.image_folder, {**split.content, 'annotations': kept})
        names = {image['id']: image['file_name'] for image in split.content['images']}
        files = shorten([*dict.fromkeys(names[objects[i]['image_id']] for i in sorted(copies))])
        dataset.notes.append(f'left out of {name} (repeated): {format_count(len(copies), "object")} (in {files})')
    return [groups[image['id']] for image in split.content['images']]
