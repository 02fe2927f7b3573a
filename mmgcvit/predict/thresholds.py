"""The confidence thresholds of a detector: one for all classes, and others for some of them."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from ..errors import MANY, UserError, shorten, suggest
from ..host.files import compute_sha256, normalise, write_text
from ..runs.folder import SCORE_THR_FILE, RunFolder

# A number for all classes, or numbers for some classes by name
ScoreThr = float | Mapping[str, float]
# Names of the two values in JSON files and in the metadata of weights and ONNX files
OVERALL_KEY = 'score_thr'
BY_CLASS_KEY = 'class_score_thr'


@dataclass(frozen=True)
class ScoreThresholds:
    """Confidence thresholds: ``overall`` for all classes but those in ``by_class``."""

    overall: float
    by_class: Mapping[str, float] = field(default_factory=dict)

    def override(self, score_thr: ScoreThr) -> 'ScoreThresholds':
        """Return these thresholds with a number for all classes, or numbers for some classes."""
        if isinstance(score_thr, Mapping):
            return ScoreThresholds(self.overall, {**self.by_class, **score_thr})
        return ScoreThresholds(score_thr)

    def check(self, classes: Sequence[str]) -> None:
        """Raise a UserError for a class that is not one of ``classes``, and for a threshold that is
        not a number from 0 to 1.
        """
        known = set(map(normalise, classes))
        for name in self.by_class:
            if normalise(name) not in known:
                raise UserError(
                    f'score_thr: the model has no class {name}{suggest(str(name), classes) or "."} '
                    f'Its classes are {shorten(classes, MANY)}'
                )
        check_range('score_thr', self.overall)
        for name, threshold in self.by_class.items():
            check_range(f'score_thr of {name}', threshold)

    def list_by_class(self, classes: Sequence[str]) -> list[float]:
        """List the threshold of each class, by label. Classes with one name, in any Unicode form,
        share it.
        """
        by_class = {normalise(name): threshold for name, threshold in self.by_class.items()}
        return [by_class.get(normalise(name), self.overall) for name in classes]

    def to_json(self) -> dict[str, Any]:
        """Return what a JSON file contains: the number for all classes, and those by class."""
        return {OVERALL_KEY: self.overall, BY_CLASS_KEY: dict(self.by_class)}

    def to_metadata(self) -> dict[str, str]:
        """Return the entries of a file's metadata, whose values are strings: here JSON."""
        entries = self.to_json().items()
        return {key: json.dumps(value, ensure_ascii=False) for key, value in entries}

    def __str__(self) -> str:
        """The number for all classes, then the others, such as '0.5 (cat 0.3, dog 0.45)'."""
        text = f'{self.overall:g}'
        others = [f'{name} {threshold:g}' for name, threshold in self.by_class.items()]
        return f'{text} ({shorten(others, MANY)})' if others else text


def check_range(name: str, threshold: Any) -> None:
    """Raise a UserError if a threshold is not a number from 0 to 1."""
    if not is_number(threshold) or not 0 <= threshold <= 1:
        raise UserError(f'{name}={threshold}: expected a number from 0 to 1')


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a number that a float can be, not a bool."""
    is_numeric = isinstance(value, float | int) and not isinstance(value, bool)
    return is_numeric and abs(value) <= sys.float_info.max


def parse_thresholds(content: Any) -> ScoreThresholds:
    """Read thresholds from the content of a JSON file, which may have one number only.

    Raise a ValueError for other contents.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f'{content!r:.40} is not an object')
    overall = content.get(OVERALL_KEY)
    by_class = content.get(BY_CLASS_KEY, {})
    if not is_number(overall):
        raise ValueError(f'{OVERALL_KEY} is {overall!r:.40}')
    if not isinstance(by_class, Mapping) or not all(map(is_number, by_class.values())):
        raise ValueError(f'{BY_CLASS_KEY} is {by_class!r:.40}')
    return ScoreThresholds(
        overall=float(overall),
        by_class={name: float(threshold) for name, threshold in by_class.items()},
    )


def parse_metadata(metadata: Mapping[str, str]) -> ScoreThresholds | None:
    """Read thresholds from the metadata of a file, or return None if it has none.

    Raise a ValueError for damaged ones.
    """
    if OVERALL_KEY not in metadata:
        return None
    entries = {key: metadata[key] for key in (OVERALL_KEY, BY_CLASS_KEY) if key in metadata}
    return parse_thresholds({key: json.loads(value) for key, value in entries.items()})


def read_thresholds(run: RunFolder, checkpoint: str) -> ScoreThresholds | None:
    """Return the confidence thresholds that were chosen for a checkpoint with this content when the
    run ended, or None.

    Raise a UserError if their file is damaged.
    """
    path = run.path / SCORE_THR_FILE
    file = Path(checkpoint)
    if not path.is_file() or not file.is_file():
        return None
    try:
        chosen = json.loads(path.read_text())
        thresholds = parse_thresholds(chosen)
        digest = chosen['sha256']
    except (ValueError, KeyError) as error:
        raise UserError(
            f'{path} is damaged. Remove it, or set score_thr', arguments=['score_thr']
        ) from error
    return thresholds if digest == compute_sha256(file) else None


def write_thresholds(run: RunFolder, checkpoint: Path, thresholds: ScoreThresholds) -> None:
    """Write the confidence thresholds that predictions of a checkpoint use from then on."""
    content = {
        'checkpoint': checkpoint.name,
        'sha256': compute_sha256(checkpoint),
        **thresholds.to_json(),
    }
    write_text(run.path / SCORE_THR_FILE, json.dumps(content, indent=1))
