"""The output folder of predictions: pictures, videos, segmentation maps and JSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import check_writable, make_absolute, write_image, write_text

# Pictures and videos with predictions drawn in; label maps; predictions for the frames of videos.
PICTURES, LABEL_MAPS, FRAMES = FOLDERS = ('vis', 'labels', 'preds')
PREDICTIONS, IMAGES = FILES = ('predictions.json', 'images.json')
# Pictures keep these formats; others become PNG.
KEPT_SUFFIXES = ('.jpg', '.jpeg', '.png')


class Outputs:
    """Paths in the output folder, which is created with the first file.

    Files have the paths of the inputs below their common folder, without suffixes unless some differ in these alone.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], overwrite: bool = False) -> None:
        check_out_dir(folder, (*FILES, *FOLDERS), overwrite)
        self.folder = folder
        paths = [make_absolute(name) for name in inputs]
        common = os.path.commonpath([path.parent for path in paths]) if paths else ''
        below = [path.relative_to(common) for path in paths]
        stems = [path.with_suffix('') for path in below]
        is_clear = len({str(stem).lower() for stem in stems}) == len(stems)
        self.names = dict(zip(inputs, stems if is_clear else below, strict=True))

    def get_path(self, kind: str, source: str, suffix: str) -> Path:
        """The path in one of :data:`FOLDERS` for an input."""
        path = self.folder / kind / f'{self.names.get(source, source)}{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_picture(self, source: str, picture: np.ndarray) -> Path:
        """Write a picture (height, width, 3) in BGR order, with predictions drawn in."""
        suffix = Path(source).suffix
        suffix = suffix if suffix.lower() in KEPT_SUFFIXES else '.png'
        return write_image(self.get_path(PICTURES, source, suffix), picture)

    def write_label_map(self, source: str, label_map: np.ndarray) -> Path:
        """Write class numbers (height, width) as a grey PNG file, of 16 bits if they need it."""
        dtype = np.uint8 if label_map.max() <= np.iinfo(np.uint8).max else np.uint16
        return write_image(self.get_path(LABEL_MAPS, source, '.png'), label_map.astype(dtype))


def check_out_dir(folder: Path, names: Sequence[str], overwrite: bool) -> None:
    """Reject a folder for ``--out-dir`` that cannot be written, or has files of these names."""
    check_writable(folder, f'--out-dir {folder}')
    found = [name for name in names if (folder / name).exists()]
    if found and not overwrite:
        raise UserError(
            f'{folder} has files of an earlier call ({", ".join(found)}); choose another --out-dir, or replace '
            'them with --overwrite'
        )


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; values that are not finite, which JSON does not have, raise ValueError."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False))
