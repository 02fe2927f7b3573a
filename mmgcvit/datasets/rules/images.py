"""Rules for image files: they exist, can be decoded, and have the annotated size."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...errors import get_first_line
from ...files import compute_sha256
from ..decoding import DecodingSettings, decode_image, load_image
from ..records import Size
from .rule import Effect, Fault, Rule

UNUSABLE_NAME = Rule(
    'names of images with a tab, a line break or invalid UTF-8',
    'Rename them',
    in_config=Effect.NONE,
)
MISSING = Rule('files that are missing', 'Add them, or remove them from the annotations')
UNREADABLE = Rule('images that cannot be read', 'Copy or convert them again, or remove them')
OTHER_SIZE = Rule(
    'images of another size than their annotations or maps',
    'Change annotations, or replace files',
)
EXIF_ROTATION = Rule(
    'images annotated before EXIF rotation',
    'Add mmgcvit.ApplyExifAsAnnotated to the pipeline',
    in_folder=Effect.NONE,
)
# Threads are enough, because Pillow and OpenCV release the GIL while decoding. Each thread holds
# one or two images.
MAX_THREADS = 16


class DecodedImage(NamedTuple):
    """What decoding an image tells."""

    path: Path
    annotated_size: Size | None
    stored_size: Size | None = None
    size: Size | None = None  # as the pipeline loads it
    error: str = ''


def find_missing(paths: Sequence[Path]) -> list[int]:
    """Return the indices of missing files. List each folder once: a look-up a file is slow."""
    names: dict[Path, set[str]] = {}
    missing = []
    for index, path in enumerate(paths):
        if path.parent not in names:
            with suppress(OSError):  # a name may be too long
                names[path.parent] = set(os.listdir(path.parent))  # noqa: PTH208
        if path.name not in names.get(path.parent, ()):
            missing.append(index)
    return missing


def has_unusable_name(name: str) -> bool:
    """Return whether a name cannot be in a list of files."""
    has_separator = not set(name).isdisjoint('\t\n\r')
    is_valid_utf8 = name.encode(errors='replace').decode() == name
    return has_separator or not is_valid_utf8


def decode(
    path: Path, annotated_size: Size | None, decoding: DecodingSettings | None = None
) -> DecodedImage:
    """Decode an image as a config's pipeline does, or only by Pillow without ``decoding``."""
    try:
        if decoding is None:
            stored_size, size = decode_image(path)
        else:
            pixels, stored_size = load_image(str(path), decoding)
            size = pixels.shape[1::-1]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return DecodedImage(path, annotated_size, error=get_first_line(error))
    matches_annotated_size = decoding is None or decoding.matches_annotated_size
    if matches_annotated_size and annotated_size == stored_size:
        size = stored_size
    return DecodedImage(path, annotated_size, stored_size, size)


def judge_image(image: DecodedImage) -> tuple[Rule, str] | None:
    """Return the rule that a decoded image breaks, and the example, or None."""
    if image.error:
        return UNREADABLE, f'{image.path} ({image.error})'
    if image.annotated_size in (None, image.size):
        return None
    width, height = image.size
    annotated = ' x '.join(f'{side!r:.20}' for side in image.annotated_size)
    example = f'{image.path} is {width} x {height}, annotated as {annotated}'
    if image.annotated_size == image.stored_size:
        return EXIF_ROTATION, example
    return OTHER_SIZE, example


def find_image_faults(
    folder: Path,
    names: Sequence[str],
    sizes: Sequence[Size | None],
    decoding: DecodingSettings | None = None,
    indices: Sequence[int] | None = None,
    track: Callable[[Iterator, int], Iterator] = lambda results, number: results,
) -> Iterator[Fault]:
    """Yield the faults of images.

    Args:
        folder: The folder that ``names`` are relative to.
        names: The names of the images.
        sizes: Their annotated sizes, or None.
        decoding: How a config's pipeline decodes them. Without it, Pillow does.
        indices: The images to decode. Default: all.
        track: Shows progress on an iterator of results, whose number is its second argument.
    """
    # Join the paths with os.path, as mmdet does: it keeps './'.
    paths = [Path(os.path.join(folder, name)) for name in names]  # noqa: PTH118
    unusable = {i for i, name in enumerate(names) if has_unusable_name(name)}
    for index in sorted(unusable):
        yield Fault(UNUSABLE_NAME, index, str(paths[index]))
    missing = set(find_missing(paths)) - unusable
    for index in sorted(missing):
        yield Fault(MISSING, index, str(paths[index]))
    chosen = range(len(names)) if indices is None else indices
    chosen = [index for index in chosen if index not in missing and index not in unusable]
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        decoded = pool.map(lambda index: decode(paths[index], sizes[index], decoding), chosen)
        for index, image in zip(chosen, track(decoded, len(chosen)), strict=True):
            found = judge_image(image)
            if found is not None:
                yield Fault(found[0], index, found[1])


def find_problem(folder: Path, name: str, annotated_size: Size | None = None) -> str | None:
    """Return why an image cannot be used, or None."""
    faults = find_image_faults(folder, [name], [annotated_size])
    return next((f'{fault.rule.problem}: {fault.example}' for fault in faults), None)


def find_same_files(paths: Sequence[Path]) -> list[int]:
    """Return for each file the index of the first with the same bytes.

    Empty, missing and unreadable files equal no other.
    """

    def measure(path: Path) -> int:
        with suppress(OSError):
            return path.stat().st_size
        return 0

    def hash_file(path: Path) -> str | None:
        with suppress(OSError):
            return compute_sha256(path)

    with ThreadPoolExecutor() as pool:
        by_size: dict[int, list[int]] = {}
        for index, size in enumerate(pool.map(measure, paths)):
            by_size.setdefault(size, []).append(index)
        # Only files of the same size can have the same bytes.
        candidates = [
            index
            for size, indices in by_size.items()
            if size and len(indices) > 1
            for index in indices
        ]
        digests = pool.map(hash_file, [paths[index] for index in candidates])
    firsts = list(range(len(paths)))
    first_by_digest: dict[str, int] = {}
    for index, digest in sorted(zip(candidates, digests, strict=True)):
        if digest is not None:
            firsts[index] = first_by_digest.setdefault(digest, index)
    return firsts


def group_same_files(paths_by_split: Mapping[str, Sequence[Path]]) -> dict[str, list[int]]:
    """Return :func:`find_same_files` of the files of all splits, by split."""
    firsts = iter(find_same_files([path for paths in paths_by_split.values() for path in paths]))
    return {name: [next(firsts) for _ in paths] for name, paths in paths_by_split.items()}
