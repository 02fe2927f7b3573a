"""Data sets in COCO's format: one JSON file of images, annotations and categories."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from .boxes import check_boxes
from .files import check_presence
from .images import Picture
from .masks import check_masks
from .numbers import as_numbers
from .problems import Kind, Outcome, Report
from .sources import steps_of

KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}
# What the computation of scores asks for besides.
SCORED_KEYS = ('iscrowd',)

NO_COCO = Kind(
    "no annotation file in COCO's format", Outcome.STOPS, 'it must hold lists of images, annotations, categories'
)
LACKING = Kind('entries that lack a key', Outcome.STOPS, 'add what is missing')
SAME_ID = Kind('ids that are used twice', Outcome.STOPS, 'give each entry an id of its own')
NO_SIZE = Kind('images without a width and height above zero', Outcome.STOPS, 'write both in pixels, as whole numbers')
NO_FILE_NAME = Kind('images whose file_name is no text', Outcome.STOPS, 'write the names of their files')
UNKNOWN_IMAGE = Kind('annotations of images that the file does not list', Outcome.LEFT_OUT, 'list them under images')
UNKNOWN_CATEGORY = Kind(
    'annotations of categories that the file does not list', Outcome.STOPS, 'list them under categories'
)
OTHER_CATEGORY = Kind(
    'annotations of categories that are no classes of the config', Outcome.LEFT_OUT, 'name them under metainfo.classes'
)
NO_SUCH_CATEGORY = Kind(
    'has no category of the name of a class', Outcome.STOPS, 'spell metainfo.classes and the categories alike'
)
OTHER_ORDER = Kind(
    'categories in another order than the classes of the config',
    Outcome.STOPS,
    "sort metainfo.classes as the file's categories: hosts number labels by the file, and names would be swapped",
)
NOTHING = Kind('nothing to train on', Outcome.STOPS, 'no annotation is left of what the config asks for')


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, content: Any, is_scored: bool, report: Report
) -> list[Picture]:
    """Report what is wrong with an annotation file; the images that it names.

    Args:
        dataset: mmdet's CocoDataset or one derived from it, not yet loaded.
        settings: What it was built from.
        content: The file's content.
        is_scored: Whether scores are computed from it, as of a validation's.
        report: Gets the problems.
    """
    place = dataset.ann_file
    entries = entries_of(place, content, is_scored, report)
    if entries is None:
        return []
    images, annotations, categories = entries
    for name, found in zip(KEYS, entries, strict=True):
        check_ids(place, name, found, report)
    check_categories(place, categories, dataset.metainfo.get('classes'), report)
    sizes = sizes_of(place, images, report)
    annotations, sizes_of_annotations = with_images(place, annotations, images, sizes, report)
    is_used = check_boxes(place, annotations, sizes_of_annotations, report)
    is_used &= check_references(place, annotations, categories, dataset.metainfo.get('classes'), report)
    if not is_scored and not is_used.any():
        report.add(NOTHING, place)
    if any(step.get('with_mask') for step in steps_of(settings)):
        kept = [annotation for annotation, used in zip(annotations, is_used, strict=True) if used or is_scored]
        check_masks(place, kept, sizes_of_annotations[is_used | is_scored], is_scored, report)
    return pictures_of(place, dataset, images, sizes, report)


def entries_of(
    place: str, content: Any, is_scored: bool, report: Report
) -> tuple[list[dict], list[dict], list[dict]] | None:
    """Images, annotations and categories that have all keys; None where they say too little."""
    missing = [name for name in KEYS if not isinstance(content, dict) or not isinstance(content.get(name), list)]
    if is_scored and missing == ['annotations']:
        report.note(f'{place} has no annotations: there is nothing to score against')
        content, missing = {**content, 'annotations': []}, []
    if missing:
        report.add(NO_COCO, place, [f'no {name}' for name in missing])
        return None
    whole = {}
    for name, keys in KEYS.items():
        asked = keys + SCORED_KEYS if is_scored and name == 'annotations' else keys
        whole[name] = with_keys(place, name, content[name], asked, report)
    if any(len(whole[name]) < len(content[name]) for name in ('images', 'categories')):
        # What annotations refer to would seem to be missing.
        return None
    return tuple(whole.values())


def with_keys(
    place: str, name: str, entries: Sequence[Any], keys: Sequence[str], report: Report
) -> list[dict[str, Any]]:
    """The entries that are dicts and have all keys."""
    asked = frozenset(keys)
    whole = [entry for entry in entries if isinstance(entry, dict) and asked <= entry.keys()]
    if len(whole) < len(entries):
        lacking = [
            lack(name, number, entry, asked)
            for number, entry in enumerate(entries)
            if not isinstance(entry, dict) or not asked <= entry.keys()
        ]
        report.add(LACKING, place, lacking)
    return whole


def lack(name: str, number: int, entry: Any, keys: frozenset[str]) -> str:
    """What an entry lacks, in words."""
    if not isinstance(entry, dict):
        return f'{name}[{number}] is no object'
    missing = ' and '.join(repr(key) for key in sorted(keys - entry.keys()))
    return f'{name}[{number}] (id {entry.get("id")}) has no {missing}'


def check_ids(place: str, name: str, entries: Sequence[Mapping[str, Any]], report: Report) -> None:
    """Report ids, and of categories names, that more than one entry has."""
    for key in ('id', 'name') if name == 'categories' else ('id',):
        values = hashable([entry[key] for entry in entries])
        if len(set(values)) < len(values):
            twice = [f'{name} {key} {value}' for value, number in Counter(values).items() if number > 1]
            report.add(SAME_ID, place, twice)


def check_categories(
    place: str, categories: Sequence[Mapping[str, Any]], classes: Sequence[str] | None, report: Report
) -> None:
    """Compare the file's categories with the config's classes: hosts label objects by the order in the file."""
    if not classes:
        return
    names = [category['name'] for category in categories]
    absent = [name for name in classes if name not in names]
    if absent:
        has = ', '.join(map(repr, names))
        report.add(NO_SUCH_CATEGORY, place, [f'{name!r}' for name in absent[:-1]] + [f'{absent[-1]!r} (it has: {has})'])
        return
    common = [name for name in names if name in classes]
    # Of different lengths where names are used twice, which is reported as such.
    pairs = zip(common, classes, strict=False)
    wrong = [f'{name!r} would be called {called!r}' for name, called in pairs if name != called]
    if wrong:
        report.add(OTHER_ORDER, place, wrong)


def sizes_of(place: str, images: Sequence[Mapping[str, Any]], report: Report) -> NDArray[np.float64]:
    """The images' widths and heights, (images, 2); NaN for those that have none, or no name."""
    sizes = np.stack([as_numbers([image[key] for image in images], 1)[:, 0] for key in ('width', 'height')], axis=1)
    is_sized = np.isfinite(sizes).all(1) & (sizes >= 1).all(1) & (sizes == np.floor(sizes)).all(1)
    is_named = np.array([isinstance(image['file_name'], str) for image in images], dtype=bool)
    for kind, is_right in ((NO_SIZE, is_sized), (NO_FILE_NAME, is_named)):
        wrong = [images[number] for number in np.flatnonzero(~is_right)]
        if wrong:
            report.add(kind, place, [f'{image["file_name"]} {image["width"]} x {image["height"]}' for image in wrong])
    sizes[~(is_sized & is_named)] = np.nan
    return sizes


def with_images(
    place: str,
    annotations: Sequence[dict[str, Any]],
    images: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    report: Report,
) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """The annotations whose images are known and have sizes, and these sizes, (annotations, 2)."""
    place_of = {image_id: number for number, image_id in enumerate(hashable([image['id'] for image in images]))}
    asked = hashable([annotation['image_id'] for annotation in annotations])
    numbers = np.array([place_of.get(image_id, -1) for image_id in asked], dtype=np.int64)
    strays = [annotations[number] for number in np.flatnonzero(numbers < 0)]
    if strays:
        report.add(UNKNOWN_IMAGE, place, [f'annotation {stray["id"]} of image {stray["image_id"]}' for stray in strays])
    sizes = np.concatenate([sizes, np.full((1, 2), np.nan)])[numbers]
    kept = np.flatnonzero(np.isfinite(sizes).all(1))
    return [annotations[number] for number in kept], sizes[kept]


def check_references(
    place: str,
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    classes: Sequence[str] | None,
    report: Report,
) -> NDArray[np.bool_]:
    """Whether each annotation's category is a class of the config, (annotations,)."""
    ids = hashable([category['id'] for category in categories])
    name_of = dict(zip(ids, (str(category['name']) for category in categories), strict=True))
    classes = set(classes or name_of.values())
    named = [name_of.get(number) for number in hashable([annotation['category_id'] for annotation in annotations])]
    is_known = np.array([name is not None for name in named], dtype=bool)
    is_class = np.array([name in classes for name in named], dtype=bool)
    for kind, concerned in ((UNKNOWN_CATEGORY, ~is_known), (OTHER_CATEGORY, is_known & ~is_class)):
        found = [annotations[number] for number in np.flatnonzero(concerned)]
        if found:
            report.add(kind, place, [f'annotation {entry["id"]} of category {entry["category_id"]}' for entry in found])
    return is_class


def hashable(values: list[Any]) -> list[Any]:
    """Ids as they are, to be looked up; as text where lists or objects are among them."""
    try:
        hash(tuple(values))
    except TypeError:
        return [repr(value) for value in values]
    return values


def pictures_of(
    place: str,
    dataset: BaseDataset,
    images: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    report: Report,
) -> list[Picture]:
    """The image files that have a name and a size, of which those that are not there are reported."""
    folder = dataset.data_prefix.get('img', '')
    known = np.flatnonzero(np.isfinite(sizes).all(1))
    # As the hosts join them.
    paths = [os.path.join(folder, images[number]['file_name']) for number in known]  # noqa: PTH118
    check_presence(place, paths, report)
    return [
        Picture(path, annotated=(int(width), int(height)))
        for path, (width, height) in zip(paths, sizes[known].tolist(), strict=True)
    ]
