"""Write a trained model as an ONNX file, and compare the two."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ..errors import check_installed
from ..files import atomic_write
from ..inference import Predictor
from ..inference.sources import Source
from .checking import Difference, compare
from .graphs import DYNAMIC_INPUT, INPUT, build_graph, name_outputs
from .metadata import collect_metadata

# The lowest that has all operators with what they are asked for here, LayerNormalization above all.
OPSET = 17
# Images of the example that is traced: of sizes that no window divides.
EXAMPLE = (2, 3, 99, 132)


def check_onnx() -> None:
    """Make sure that the packages are there that exports need beside the package's own requirements."""
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')


def write(
    predictor: Predictor, source: Source, target: Path, part: str | None = None, check: bool = True
) -> Difference | None:
    """Write a model on the CPU, or its ``'backbone'``, as an ONNX file for images of any size and any batch size.

    The file gets its name, and replaces another, only after it was compared with the model in onnxruntime.

    Returns:
        The difference of the file from the model; None where it is not checked.

    Raises:
        UserError: The model has parts that cannot be exported, or the file differs from the model. Nothing is left of
            it.
    """
    check_onnx()
    graph = build_graph(predictor, part)
    metadata = collect_metadata(predictor, source, part)
    with atomic_write(target) as unfinished:
        trace(graph, name_outputs(predictor, part), metadata, unfinished)
        return compare(predictor, part, unfinished) if check else None


def trace(graph: nn.Module, outputs: Mapping[str, Mapping[int, str]], metadata: Mapping[str, str], path: Path) -> None:
    """Write a graph in eval mode and its metadata.

    It is traced by torch's older exporter: the newer one rejects NMS, whose number of boxes depends on the data.
    ``outputs`` names the outputs, and their dynamic dimensions by number.
    """
    import onnx

    example = torch.randn(EXAMPLE, generator=torch.Generator().manual_seed(0))
    options = {'dynamo': False} if torch.__version__ >= torch.torch_version.TorchVersion('2.5') else {}
    with torch.no_grad(), warnings.catch_warnings():
        # It warns of values that the trace makes constant; the comparison shows that all of them are.
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
