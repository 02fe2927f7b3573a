"""How NVIDIA's TensorRT makes an engine of a file: for the sizes that the file's own test pipeline brings."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from .graphs import INPUT

Size = tuple[int, int]  # height, width
# No file takes smaller images.
SMALLEST = 33


def trtexec_line(path: Path, images: int) -> str:
    """The call of ``trtexec`` for a file of :func:`mmgcvit.export.write`, for batches of up to so many images."""
    import onnx

    smallest, usual, largest = sizes_of({entry.key: entry.value for entry in onnx.load(path).metadata_props})
    shapes = {'min': (1, smallest), 'opt': (images, usual), 'max': (images, largest)}
    options = [f'--{name}Shapes={INPUT}:{batch}x3x{h}x{w}' for name, (batch, (h, w)) in shapes.items()]
    return shlex.join(['trtexec', f'--onnx={path}', f'--saveEngine={path.with_suffix(".engine")}', *options])


def sizes_of(metadata: Mapping[str, str]) -> tuple[Size, Size, Size]:
    """The smallest, the usual and the largest size of an image that the file's test pipeline has resized.

    Images that keep their ratio may lie or stand; those of which one edge is set are at most twice as long as wide.
    """
    scale, crop = json.loads(metadata['scale']), json.loads(metadata['crop'])
    if crop or not json.loads(metadata['keep_ratio']):
        width, height = crop or scale
        return ((height, width),) * 3
    short, long = min(scale), max(scale)
    if metadata['edge'] not in ('', 'long'):
        long = 2 * short
    return (SMALLEST, SMALLEST), (short, long), (long, long)
