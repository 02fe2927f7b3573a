"""Rules for copies: an image is in one split, once; an object is annotated once."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from ...errors import UserError, format_count, shorten
from ..records import DatasetInfo, Entry, ObjectSplit, Split, get_mask, make_object_key
from .images import find_same_files
from .rule import Effect, Problems, Rule

CONTRADICTING_COPIES = Rule(
    'images that are there several times, with different annotations',
    'Keep the right one',
    in_config=Effect.NONE,
)
SHARED_IMAGES = Rule(
    'training images that are also in validation or test (left out of training)',
    'Keep them in one split',
    in_folder=Effect.NOTED,
    in_config=Effect.NOTED,
)
TESTED_IMAGES = Rule(
    'validation images that are also in test',
    'Keep them in one split',
    in_folder=Effect.NOTED,
    in_config=Effect.NONE,
)
REPEATED_IMAGES = Rule(
    'images that a split has more than once, with the same annotations (read once)',
    'Remove the copies',
    in_folder=Effect.NOTED,
    in_config=Effect.NONE,
)
REPEATED_OBJECTS = Rule(
    'objects that are annotated more than once (class, box to 0.1 px, trained mask; read once)',
    'Remove the copies',
    unit='object',
    in_folder=Effect.NOTED,
    in_config=Effect.NOTED,
)


def find_repeated_objects(split: ObjectSplit, with_masks: bool) -> tuple[list[Entry], str]:
    """Return the annotations that repeat no earlier one of their image, and which others do."""
    seen = defaultdict(list)
    first, repeated = [], []
    for annotation in split.annotations:
        masks = seen[annotation['image_id'], make_object_key(annotation)]
        mask = get_mask(annotation, with_masks)
        if mask in masks:
            repeated.append(annotation)
        else:
            masks.append(mask)
            first.append(annotation)
    if not repeated:
        return first, ''
    files = shorten(list(dict.fromkeys(split.list_image_names(repeated))))
    return first, f'{format_count(len(repeated), "object")} (in {files})'


def leave_out_copies(dataset: DatasetInfo, problems: Problems) -> DatasetInfo:
    """Return the dataset without copies and with notes that count them.

    Training lacks the images of other splits. Of the same images in one split, the first one stays
    if all have the same annotations; otherwise all are added to ``problems``.
    """
    with_masks = dataset.annotation_types[0] == 'masks'
    paths = {name: split.image_paths for name, split in dataset.splits.items()}
    same = iter(find_same_files([path for found in paths.values() for path in found]))
    # For each image the index of the first image of the dataset with the same bytes.
    firsts = {name: [next(same) for _ in found] for name, found in paths.items()}
    others = sorted(paths.keys() - {'train'})
    held_out = {first for name in others for first in firsts[name]}
    splits, notes = {}, []
    for name, split in dataset.splits.items():
        if split.annotations:
            first, repeated = find_repeated_objects(split, with_masks)
            split = replace(split, annotations=first)
            notes += [f'left out of {name} (repeated): {repeated}'] if repeated else []
        forbidden = held_out if name == 'train' else ()
        shared, repeated, different = find_copies(split, firsts[name], forbidden, with_masks)
        in_val = firsts.get('val', ()) if name == 'test' else ()
        tested = {index for index, first in enumerate(firsts[name]) if first in set(in_val)}
        for what, indices in (
            (f'left out of train (also in {" or ".join(others)})', shared),
            (f'left out of {name} (repeated)', repeated),
            ('test is not independent of val', tested),
        ):
            if indices:
                names = shorten([str(paths[name][index]) for index in sorted(indices)])
                notes.append(f'{what}: {format_count(len(indices), "image")} ({names})')
        if shared and len(shared) == len(paths[name]):
            raise UserError(
                f'{dataset.folder}: {notes[-1]}, so none is left. Put other images into one of '
                'the splits, or remove val: then a fifth of train is held out for it'
            )
        for index in sorted(different):
            problems[CONTRADICTING_COPIES].append(str(paths[name][index]))
        left_out = shared.union(repeated, different)
        splits[name] = split.select(set(range(len(paths[name]))) - left_out)
    return replace(dataset, splits=splits).add_notes(notes)


def find_copies(
    split: Split, firsts: Sequence[int], forbidden: Collection[int], with_masks: bool
) -> tuple[set[int], set[int], set[int]]:
    """Return the indices of images that are copies.

    Args:
        split: The images.
        firsts: For each image the index of the first image of the dataset with the same bytes.
        forbidden: Such indices of images in other splits, which may not be in this split.
        with_masks: Whether masks are trained.

    Returns:
        Forbidden images, copies with the same annotations, and copies with other annotations.
    """
    shared, repeated, different = set(), set(), set()
    has_copies = len(set(firsts)) < len(firsts)
    keys = split.list_annotation_keys(with_masks) if has_copies else firsts
    seen = {}
    for index, first in enumerate(firsts):
        earlier = seen.setdefault(first, index)
        if first in forbidden:
            shared.add(index)
        elif earlier != index and keys[earlier] == keys[index]:
            repeated.add(index)
        elif earlier != index:
            different |= {earlier, index}
    return shared, repeated - different, different
