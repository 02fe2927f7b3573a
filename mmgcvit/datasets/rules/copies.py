"""Rules for copies: an image is in one split, once; an object is annotated once.

Images are the same if their files have the same bytes, whatever their names. A link to an image is
a copy of it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from ..records import ObjectSplit, Split, get_mask, make_object_key
from .images import identify_contents
from .rule import Effect, Problems, Rule, make_folder_note

SHARED_IMAGES = make_folder_note(
    'training images that are also in validation or test (left out of training)',
    'Keep them in one split. Without a validation split, a fifth of the images is held out',
)
REPEATED_IMAGES = make_folder_note(
    'images that a split has more than once (the first one is read)',
    'Keep the one with the right annotations',
)
REPEATED_OBJECTS = Rule(
    'objects that are annotated more than once (class, box to 0.1 px, trained mask; read once)',
    'Remove the copies',
    in_folder=Effect.NOTED,
    in_config=Effect.NOTED,
)


def leave_out_repeated(split: ObjectSplit, with_masks: bool, problems: Problems) -> ObjectSplit:
    """Return a split without repeated objects. Add them to ``problems``."""
    seen, first = defaultdict(list), []
    names = split.list_image_names(split.annotations)
    for annotation, name in zip(split.annotations, names, strict=True):
        masks = seen[annotation['image_id'], make_object_key(annotation)]
        mask = get_mask(annotation, with_masks)
        if mask in masks:
            problems[REPEATED_OBJECTS].append(f'annotation {annotation["id"]} of {name}')
        else:
            masks.append(mask)
            first.append(annotation)
    return replace(split, annotations=first)


def leave_out_copies(splits: Mapping[str, Split], problems: Problems) -> dict[str, Split]:
    """Return splits without copies of images. Add them to ``problems``.

    Training lacks the images of other splits. Of the same images in one split, the first one stays.
    """
    contents = identify_contents([path for split in splits.values() for path in split.image_paths])
    others = [split for name, split in splits.items() if name != 'train']
    held_out = {contents[path] for split in others for path in split.image_paths}
    selected = {}
    for name, split in splits.items():
        kept = {}  # the index of the first image with a content
        for index, path in enumerate(split.image_paths):
            content = contents[path]
            if name == 'train' and content in held_out:
                problems[SHARED_IMAGES].append(str(path))
            elif content in kept:
                problems[REPEATED_IMAGES].append(str(path))
            else:
                kept[content] = index
        selected[name] = split.select(kept.values())
    return selected
