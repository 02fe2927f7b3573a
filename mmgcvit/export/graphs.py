"""Which graph a model becomes, and what its inputs and outputs are called."""

from torch import nn

from ..inference import Predictor

INPUT = 'images'
BACKBONE = 'backbone'
# What changes from call to call, by the numbers of dimensions; whatever has no name is fixed.
DYNAMIC_INPUT = {0: 'batch', 2: 'height', 3: 'width'}


def graph_of(predictor: Predictor, part: str | None = None) -> nn.Module:
    """What is exported of a model.

    Args:
        predictor: The model.
        part: ``'backbone'`` for that alone; None for the whole.

    Raises:
        UserError: It has parts that cannot be exported; says which can.
    """
    model = predictor.network
    if part is not None:
        from .backbone import BackboneGraph

        graph = BackboneGraph(model)
    # Hosts are imported for the task that is there: one need not have the others.
    elif predictor.task == 'detection':
        from .detector import DetectorGraph

        graph = DetectorGraph(model)
    elif predictor.task == 'segmentation':
        from .segmentor import SegmentorGraph

        graph = SegmentorGraph(model)
    else:
        from .classifier import ClassifierGraph

        graph = ClassifierGraph(model)
    return graph.eval()


def outputs_of(predictor: Predictor, part: str | None = None) -> dict[str, dict[int, str]]:
    """Names of a graph's outputs, and of those of their dimensions that change; arguments as of :func:`graph_of`."""
    model = predictor.network
    if part is not None:
        return {f'map{i}': {0: 'batch', 2: f'height{i}', 3: f'width{i}'} for i in model.backbone.out_indices}
    if predictor.task == 'classification':
        return {'scores': {0: 'batch'}}
    if predictor.task == 'segmentation':
        return {'logits': DYNAMIC_INPUT}
    names = ['boxes', 'scores', 'labels', 'image_indices', *(['masks'] if model.roi_head.with_mask else [])]
    return {name: {0: 'objects'} for name in names}
