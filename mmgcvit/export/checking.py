"""A file of ONNX beside the model that it was made of: run by onnxruntime at sizes that were not exported."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import first_line
from ..inference import Predictor, UserError
from .graphs import INPUT
from .host_outputs import finding_everything, host_outputs
from .objects import paired

# (images, height, width): three sizes and two numbers of images, none of them the example's.
SHAPES = [(1, 64, 96), (3, 131, 70), (1, 128, 128)]
# The largest difference, as a share of the largest number of the output.
TOLERANCE = 1e-4


class Difference(NamedTuple):
    """How far a file is from its model.

    Attributes:
        largest: Over all outputs and sizes, as a share of an output's largest number.
        output: The output that it is in.
    """

    largest: float
    output: str


def compared(predictor: Predictor, part: str | None, path: Path) -> Difference:
    """Compare a file with its model, for images of chance.

    Of a detector the objects of all scores are compared, since images of chance hold none that is sure.

    Args:
        predictor: The model.
        part: What of it the file holds; None for the whole.
        path: The file.

    Raises:
        UserError: onnxruntime cannot run the file, or it differs by more than 1e-4.
    """
    is_detector = part is None and predictor.task == 'detection'
    if is_detector:
        predictor, session = finding_everything(predictor), session_of(without_threshold(path))
    else:
        session = session_of(path.read_bytes())
    worst = Difference(0.0, session.get_outputs()[0].name)
    for seed, (batch, height, width) in enumerate(SHAPES):
        images = picture_of_chance((batch, 3, height, width), seed)
        found, expected = run(session, images.numpy()), host_outputs(predictor, part, images)
        if is_detector:
            found, expected = paired(found, expected, (height, width))
        worst = max([worst, *(Difference(distance(found[name], expected[name]), name) for name in expected)])
    if not worst.largest <= TOLERANCE:
        raise UserError(
            f"the file's {worst.output} differ from the model's by {worst.largest:.1e} of their largest, more than "
            f'{TOLERANCE}; nothing is kept (--no-check writes it all the same)'
        )
    return worst


def picture_of_chance(shape: tuple[int, int, int, int], seed: int) -> Tensor:
    """Normalised images (B, 3, H, W) of large spots with noise on them: in noise alone few networks find anything."""
    generator = torch.Generator().manual_seed(seed)
    spots = torch.randn((*shape[:2], 5, 7), generator=generator)
    noise = torch.randn(shape, generator=generator)
    return 1.5 * F.interpolate(spots, size=shape[2:], mode='bicubic') + 0.5 * noise


def session_of(content: bytes) -> Any:
    """A file of ONNX in onnxruntime, on the CPU.

    Raises:
        UserError: onnxruntime does not take it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    # Its errors have no base class of their own.
    except Exception as error:
        raise UserError(f'onnxruntime cannot load the file: {first_line(error)}') from None


def run(session: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs for images (B, 3, H, W), by their names.

    Raises:
        UserError: It fails.
    """
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {INPUT: images}), strict=True))
    except Exception as error:
        raise UserError(f'onnxruntime cannot run the file for {images.shape}: {first_line(error)}') from None


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest number expected; infinite of other shapes."""
    if found.shape != expected.shape:
        return float('inf')
    if not expected.size:
        return 0.0
    largest = np.abs(expected.astype(np.float64)).max()
    return float(np.abs(found.astype(np.float64) - expected).max() / max(largest, np.finfo(np.float32).tiny))


def without_threshold(path: Path) -> bytes:
    """A detector's file that leaves no object out for its score: the threshold is the last suppression's last input."""
    import onnx

    model = onnx.load(path)
    last = [node for node in model.graph.node if node.op_type == 'NonMaxSuppression'][-1]
    (constant,) = (node for node in model.graph.node if node.output and node.output[0] == last.input[-1])
    constant.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.float32)))
    return model.SerializeToString()
