"""Rules for copies: an image is in one split, once; an object is annotated once."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError, format_count, shorten
from ..records import DatasetInfo, Entry, Split, get_mask, make_object_key
from .images import find_same_files
from .rule import Effect, Fault, Rule

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


def find_repeated_objects(annotations: Sequence[Entry], with_masks: bool) -> set[int]:
    """Return the indices of annotations that repeat an earlier one of the same image."""
    seen = defaultdict(list)
    repeated = set()
    for index, annotation in enumerate(annotations):
        masks = seen[annotation['image_id'], make_object_key(annotation)]
        mask = get_mask(annotation, with_masks)
        if mask in masks:
            repeated.add(index)
        else:
            masks.append(mask)
    return repeated


def leave_out_repeated_objects(
    name: str, split: Split, with_masks: bool
) -> tuple[Split, list[str]]:
    """Return a split without repeated objects, and a note that counts them, if there are any."""
    repeated = find_repeated_objects(split.annotations, with_masks)
    if not repeated:
        return split, []
    copies = [split.annotations[index] for index in sorted(repeated)]
    files = shorten(list(dict.fromkeys(split.list_image_names(copies))))
    count = format_count(len(repeated), 'object')
    kept = split.select_annotations(set(range(len(split.annotations))) - repeated)
    return kept, [f'left out of {name} (repeated): {count} (in {files})']


def leave_out_copies(dataset: DatasetInfo) -> tuple[DatasetInfo, list[Fault]]:
    """Return the dataset without copies and with notes that count them, and faults.

    Training lacks the images of other splits. Of the same images in one split, the first one stays
    if all have the same annotations; otherwise all are faults.
    """
    with_masks = dataset.annotation_types[0] == 'masks'
    paths = {name: split.image_paths for name, split in dataset.splits.items()}
    same = iter(find_same_files([path for found in paths.values() for path in found]))
    # For each image the index of the first image of the dataset with the same bytes.
    firsts = {name: [next(same) for _ in found] for name, found in paths.items()}
    others = sorted(paths.keys() - {'train'})
    held_out = {first for name in others for first in firsts[name]}
    splits, faults, notes = {}, [], []
    for name, split in dataset.splits.items():
        split, repeated_objects = leave_out_repeated_objects(name, split, with_masks)
        forbidden = held_out if name == 'train' else set()
        shared, repeated, different = find_copies(split, firsts[name], forbidden, with_masks)
        in_val = set(firsts.get('val', ())) if name == 'test' else set()
        tested = {index for index, first in enumerate(firsts[name]) if first in in_val}
        notes += repeated_objects
        for what, indices in (
            (f'left out of train (also in {" or ".join(others)})', shared),
            (f'left out of {name} (repeated)', repeated),
            ('test is not independent of val', tested),
        ):
            if indices:
                notes.append(f'{what}: {describe_images(paths[name], indices)}')
        if shared and len(shared) == len(paths[name]):
            raise UserError(
                f'{dataset.folder}: {notes[-1]}, so none is left. Put other images into one of '
                'the splits, or remove val: then a fifth of train is held out for it'
            )
        faults += [
            Fault(index, CONTRADICTING_COPIES, str(paths[name][index])) for index in different
        ]
        left_out = shared.union(repeated, different)
        splits[name] = split.select(set(range(len(paths[name]))) - left_out)
    return dataset.replace_splits(splits).add_notes(notes), faults


def find_copies(
    split: Split, firsts: Sequence[int], forbidden: set[int], with_masks: bool
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


def describe_images(paths: Sequence[Path], indices: set[int]) -> str:
    """Return the number and the first names of images."""
    names = shorten([str(paths[index]) for index in sorted(indices)])
    return f'{format_count(len(indices), "image")} ({names})'
