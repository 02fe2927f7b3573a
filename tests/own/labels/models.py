"""Models without a network, whose labels are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmgcvit.datasets.decoding import DecodingSettings
from mmgcvit.predict.thresholds import ScoreThresholds


@dataclass(frozen=True)
class NamedModel:
    """What the folder of labels asks of a model: its task, names and origin."""

    task: str
    classes: Sequence[str] = ('cat', 'no', 'Hund & Katz')
    config: Path | None = None
    checkpoint: str | None = None
    thresholds: ScoreThresholds = field(default_factory=lambda: ScoreThresholds(0.3))
    tiles: int | None = None
    decoding: DecodingSettings = field(default_factory=DecodingSettings)

    @property
    def finds_objects(self) -> bool:
        return self.task == 'detection'
