"""Write a trained model as an ONNX file, and compare the two."""

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

# The first opset with all operators used here, LayerNormalization above all.
OPSET = 17
# The shape of the example that is traced: no window divides its sides.
EXAMPLE = (2, 3, 99, 132)


def check_onnx() -> None:
    """Raise a UserError if a package that exports need is not installed."""
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')


def write(predictor: Predictor, source: Source, target: Path, check: bool = True) -> Difference | None:
    """Write a model on the CPU as an ONNX file for images of any size and any batch size.

    The file replaces the target only after it was compared with the model in onnxruntime.

    Returns:
        The difference of the file from the model; None where it is not checked.

    Raises:
        UserError: The model has parts that cannot be exported, or the file differs from the model. Nothing is written.
    """
    check_onnx()
    import onnx

    graph, metadata = build_graph(predictor), collect_metadata(predictor, source)
    example = torch.randn(EXAMPLE, generator=torch.Generator().manual_seed(0))
    # By torch's older exporter: the newer one rejects NMS, whose number of boxes depends on the data.
    options = {'dynamo': False} if torch.__version__ >= torch.torch_version.TorchVersion('2.5') else {}
    with atomic_write(target) as unfinished:
        with torch.no_grad(), warnings.catch_warnings():
            # It warns of values that the trace makes constant; the comparison shows that all of them are.
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
