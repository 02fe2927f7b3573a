"""Describe what differs between the tasks in an export: the graph, the metadata and the comparison."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from torch import Tensor, nn

from ..inference.predictor import Predictor
from .graphs import ClassifierGraph, SegmentorGraph

Arrays = Mapping[str, NDArray[Any]]  # of floats and ints, by the name of an output
Size = tuple[int, int]  # (height, width)
G = TypeVar('G', bound=nn.Module)
NOT_WRITTEN = 'So no file is written. To write it without this check, add --no-check'


@dataclass(frozen=True)
class Tolerance:
    """How much a file's outputs may differ from the model's."""

    # Maximum difference of an output, relative to its largest absolute value; for masks of the
    # whole image, 1 - IoU.
    difference: float
    # Maximum difference of the scores of objects that match, and of their coordinates / the image's
    # longer side.
    match: float
    # Minimum share of objects with a match, weighted by score: where an IoU is at NMS's threshold,
    # rounding changes which box is kept.
    matched: float


FLOAT32 = Tolerance(difference=1e-4, match=1e-3, matched=0.99)
# Rounding swaps a few of DINO's queries with nearly equal scores, which changes all objects a
# little.
DINO = Tolerance(difference=0.01, match=0.01, matched=0.95)
HALF = Tolerance(difference=0.05, match=0.01, matched=0.9)


class TaskExport(ABC, Generic[G]):
    """What an export does for the models of a task. ``G`` is the type of their graphs."""

    @abstractmethod
    def build_graph(self, network: nn.Module) -> G:
        """Return the module to trace.

        Its ``output_axes`` maps the name of each output to its dynamic axes. Raise a UserError if
        the model has parts that cannot be exported.
        """

    @abstractmethod
    def collect_outputs(
        self, samples: Sequence[BaseDataElement], graph: G, inputs: Tensor
    ) -> dict[str, Tensor]:
        """Return what the file should give, by output, from the data samples that the network has
        predicted for ``inputs``, the normalised images (B, 3, H, W).
        """

    def describe(self, predictor: Predictor[Any], graph: G) -> dict[str, Any]:
        """Return entries of the file's metadata that only this task has."""
        return {}

    def prepare_comparison(self, predictor: Predictor[Any], graph: G) -> Predictor[Any]:
        """Return the model to compare with, which may predict more."""
        return predictor

    def prepare_content(self, content: bytes, graph: G) -> bytes:
        """Return the content of the file to compare, which may predict more."""
        return content

    def convert_outputs(
        self, outputs: Arrays, predictor: Predictor[Any], graph: G, size: Size
    ) -> Arrays:
        """Return the outputs of the file for images of ``size``, as :meth:`collect_outputs` gives
        the model's.
        """
        return outputs

    def match(
        self, outputs: Arrays, expected: Arrays, longer_side: int, tolerance: Tolerance
    ) -> Sequence[Arrays]:
        """Return the outputs and what was expected, in the same order.

        Raise a UserError if too much has no match.
        """
        return outputs, expected


class ClassificationExport(TaskExport[ClassifierGraph]):
    """The scores of all classes."""

    def build_graph(self, network: nn.Module) -> ClassifierGraph:
        return ClassifierGraph(network)

    def collect_outputs(
        self, samples: Sequence[BaseDataElement], graph: ClassifierGraph, inputs: Tensor
    ) -> dict[str, Tensor]:
        return {'scores': torch.stack([sample.pred_score for sample in samples])}


class SegmentationExport(TaskExport[SegmentorGraph]):
    """The logits of each pixel."""

    def build_graph(self, network: nn.Module) -> SegmentorGraph:
        return SegmentorGraph(network)

    def describe(self, predictor: Predictor[Any], graph: SegmentorGraph) -> dict[str, Any]:
        return {'tiles': predictor.tiles or 0}

    def collect_outputs(
        self, samples: Sequence[BaseDataElement], graph: SegmentorGraph, inputs: Tensor
    ) -> dict[str, Tensor]:
        return {'logits': torch.stack([sample.seg_logits.data for sample in samples])}
