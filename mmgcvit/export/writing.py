"""Export a trained model to an ONNX file, and compare the file's outputs with the model's."""

import warnings
from pathlib import Path

import torch

from ..errors import check_installed
from ..files import atomic_write
from ..inference import Predictor
from ..inference.sources import Source
from .checking import Difference, compare
from .graphs import DYNAMIC_INPUT, INPUT, build_graph
from .metadata import collect_metadata

# The first opset with LayerNormalization, the newest operator used here.
OPSET = 17
# Shape of the example input for tracing. No window size divides its height or width.
EXAMPLE_SHAPE = (2, 3, 99, 132)


def check_onnx() -> None:
    """Raise a UserError if a package that an export needs is not installed."""
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')


def write(predictor: Predictor, source: Source, target: Path, check: bool = True) -> Difference | None:
    """Export a model on the CPU to an ONNX file for any image size and batch size.

    If ``check`` is set, the file's outputs in onnxruntime are compared with the model's before it replaces the target.

    Returns:
        The largest difference between the outputs, or None if they were not compared.

    Raises:
        UserError: The model has parts that cannot be exported, or the outputs differ. The target is not changed.
    """
    check_onnx()
    import onnx

    graph, metadata = build_graph(predictor), collect_metadata(predictor, source)
    example = torch.randn(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0))
    # The TorchScript exporter: the dynamo exporter rejects NMS, as the number of kept boxes depends on the data.
    options = {'dynamo': False} if torch.__version__ >= torch.torch_version.TorchVersion('2.5') else {}
    with atomic_write(target) as unfinished:
        with torch.no_grad(), warnings.catch_warnings():
            # The exporter warns about values that tracing makes constant. The comparison shows that they are constant.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                graph,
                (example,),
                str(unfinished),
                input_names=[INPUT],
                output_names=list(graph.outputs),
                dynamic_axes={INPUT: DYNAMIC_INPUT, **graph.outputs},
                opset_version=OPSET,
                **options,
            )
        model = onnx.load(unfinished)
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, unfinished)
        return compare(predictor, unfinished) if check else None
