"""Rules for copies: an image is in one split, once; an object is annotated once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError, format_count, shorten
from ..records import DatasetInfo, Entry, Split, get_mask, make_object_key
from .images import group_same_files
from .rule import Effect, Fault, Rule

CONTRADICTING_COPIES = Rule(
    'images that are there several times, with different annotations',
    'Keep the right one',
    in_config=Effect.NONE,
)
SHARED_IMAGES = Rule(
    'training images that are also in validation or test',
    'Keep them in one split',
    in_folder=Effect.NOTED,
    in_config=Effect.NOTED,
)
REPEATED_IMAGES = Rule(
    'images that a split has more than once',
    'Remove the copies',
    in_folder=Effect.NOTED,
    in_config=Effect.NONE,
)
REPEATED_OBJECTS = Rule(
    'objects that are annotated more than once (class, box to 0.1 px, trained mask)',
    'Remove the copies',
    unit='object',
    in_folder=Effect.NOTED,
    in_config=Effect.NOTED,
)


class Copies(NamedTuple):
    """The indices of a split's images that are copies of others."""

    shared: set[int]  # also in validation or test
    repeated: set[int]  # in the same split, with the same annotations
    different: set[int]  # in the same split, with other annotations

    def list_left_out(self) -> set[int]:
        return self.shared | self.repeated | self.different


def find_repeated_objects(annotations: Iterable[Entry], with_masks: bool) -> set[int]:
    """Return the indices of annotations that repeat an earlier one of the same image."""
    seen: dict[Any, list[Any]] = defaultdict(list)
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
    splits: Mapping[str, Split], with_masks: bool
) -> tuple[dict[str, Split], list[str]]:
    """Return the splits without repeated objects, and notes that count them."""
    kept, notes = dict(splits), []
    for name, split in splits.items():
        repeated = find_repeated_objects(split.annotations, with_masks)
        if repeated:
            copies = [split.annotations[index] for index in sorted(repeated)]
            files = shorten(list(dict.fromkeys(split.list_image_names(copies))))
            count = format_count(len(repeated), 'object')
            notes.append(f'left out of {name} (repeated): {count} (in {files})')
            rest = set(range(len(split.annotations))) - repeated
            kept[name] = split.select_annotations(rest)
    return kept, notes


def find_copies(
    split: Split, firsts: Sequence[int], in_other_splits: set[int], with_masks: bool
) -> Copies:
    """Return the copies among the images of a split.

    ``firsts`` has for each image the index of the first image of the dataset with the same bytes.
    Images of which it is in ``in_other_splits`` may not be in this split.
    """
    shared, repeated, different = set(), set(), set()
    has_copies = len(set(firsts)) < len(firsts)
    keys = split.list_annotation_keys(with_masks) if has_copies else firsts
    seen: dict[int, int] = {}
    for index, first in enumerate(firsts):
        earlier = seen.setdefault(first, index)
        if first in in_other_splits:
            shared.add(index)
        elif earlier != index and keys[earlier] == keys[index]:
            repeated.add(index)
        elif earlier != index:
            different |= {earlier, index}
    return Copies(shared, repeated - different, different)


def leave_out_copies(dataset: DatasetInfo) -> tuple[DatasetInfo, dict[str, list[Fault]]]:
    """Return the dataset without copies, with notes that count them, and faults by split.

    Training lacks the images of other splits. Of the same images in one split, the first one stays
    if all have the same annotations; otherwise all are faults.
    """
    with_masks = dataset.annotation_types[0] == 'masks'
    splits, notes = leave_out_repeated_objects(dataset.splits, with_masks)
    paths = {name: list_paths(split) for name, split in splits.items()}
    firsts = group_same_files(paths)
    others = sorted(splits.keys() - {'train'})
    held_out = {first for name in others for first in firsts[name]}
    kept, faults = {}, {}
    for name, split in splits.items():
        forbidden = held_out if name == 'train' else set()
        copies = find_copies(split, firsts[name], forbidden, with_masks)
        is_also_in = f'left out of train (also in {" or ".join(others)})'
        notes += describe_images(is_also_in, paths[name], copies.shared)
        is_repeated = f'left out of {name} (repeated)'
        notes += describe_images(is_repeated, paths[name], copies.repeated)
        if name == 'test':
            in_val = set(firsts.get('val', ()))
            tested = {index for index, first in enumerate(firsts[name]) if first in in_val}
            notes += describe_images('test is not independent of val', paths[name], tested)
        if copies.shared and len(copies.shared) == len(paths[name]):
            raise UserError(
                f'{dataset.folder}: {notes[-1]}, so none is left. Put other images into one of '
                'the splits, or remove val: then a fifth of train is held out for it'
            )
        faults[name] = [
            Fault(CONTRADICTING_COPIES, index, str(paths[name][index]))
            for index in sorted(copies.different)
        ]
        kept[name] = split.select(set(range(len(paths[name]))) - copies.list_left_out())
    return dataset.replace_splits(kept).add_notes(notes), faults


def list_paths(split: Split) -> list[Path]:
    return [split.image_folder / name for name in split.image_names]


def describe_images(what: str, paths: Sequence[Path], indices: set[int]) -> list[str]:
    """Return a note that counts and names images, or none."""
    if not indices:
        return []
    names = shorten([str(paths[index]) for index in sorted(indices)])
    return [f'{what}: {format_count(len(indices), "image")} ({names})']
