"""From a trained model to a file of ONNX that has been compared with it."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from ..errors import UserError, check_installed, first_line
from ..files import check_target, written_whole
from ..inference import Predictor
from ..inference.sources import Source
from .checking import Difference, compared
from .graphs import DYNAMIC_INPUT, INPUT, graph_of, outputs_of
from .int8 import quantize
from .metadata import metadata_of

SUFFIX = '.onnx'
# The lowest that has all operators with what they are asked for here, LayerNormalization above all.
OPSET = 17
# Images of the example that is traced: of sizes that no window divides.
EXAMPLE = (2, 3, 99, 132)
# Of Protocol Buffers.
LARGEST_FILE = 2**31 - 1


def check_onnx() -> None:
    """Make sure that the packages are there that exports need beside the package's own requirements."""
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')


def write(
    predictor: Predictor,
    source: Source,
    target: Path,
    part: str | None = None,
    overwrite: bool = False,
    check: bool = True,
    int8: bool = False,
    images: Sequence[str] | None = None,
) -> Difference | None:
    """Write a model on the CPU, or its ``'backbone'``, as a file of ONNX, for images of any size and any number.

    It is written beside its place, compared in float32 with the model in onnxruntime, with ``int8`` quantized (by these
    image files, :func:`~.int8.quantize`), and moved there. Where the model has parts that cannot be exported, the file
    cannot be written or differs from the model, a UserError says so, and nothing is left of it.
    Gives the difference of the float32 file from the model; None where it is not checked.
    """
    check_onnx()
    check_target(target, SUFFIX, overwrite)
    graph = graph_of(predictor, part)
    metadata = metadata_of(predictor, source, part)
    try:
        with written_whole(target) as unfinished:
            trace(graph, outputs_of(predictor, part), metadata, unfinished)
            difference = compared(predictor, part, unfinished) if check else None
            if int8:
                quantize(unfinished, images)
    except OSError as error:
        raise UserError(f'{target} could not be written: {error.strerror or first_line(error)}') from None
    return difference


def trace(graph: nn.Module, outputs: Mapping[str, Mapping[int, str]], metadata: Mapping[str, str], path: Path) -> None:
    """Write a graph from images to tensors with what it says of itself; a UserError where it is too large.

    torch's older exporter, by a trace: the newer one takes no suppression whose number of boxes nobody knows before.
    The graph is in eval mode; outputs have the names of those of their dimensions that change.
    """
    import onnx

    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    if size > LARGEST_FILE:
        raise UserError(f'the model has {size / 1e9:.1f} GB of weights; a file of ONNX holds 2 GB')
    example = torch.randn(EXAMPLE, generator=torch.Generator().manual_seed(0))
    options = {'dynamo': False} if torch.__version__ >= torch.torch_version.TorchVersion('2.5') else {}
    with torch.no_grad(), warnings.catch_warnings():
        # Of values that the trace keeps: by the comparison none is one that should change.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_axes={INPUT: DYNAMIC_INPUT, **outputs},
            opset_version=OPSET,
            **options,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, path)
