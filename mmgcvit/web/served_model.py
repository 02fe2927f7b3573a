"""One loaded model behind the page: what the page is told of it, and its answers."""

import threading
from pathlib import Path
from typing import Any

from ..inference import Predictor, UserError
from ..inference.loading import in_words
from ..version import __version__
from ..visualization.attention import attention
from .answers import answer_of, attention_of, attention_title
from .uploads import picture_of

# Below what the page's slider goes to; the slider begins at the model's own threshold.
LEAST_SCORE = 0.05


class ServedModel:
    """A model that answers one question at a time.

    Args:
        model: As :func:`mmgcvit.load` makes it.
        config: Its config's file, whose name is shown.
    """

    def __init__(self, model: Predictor, config: Path) -> None:
        self.model = model
        self.config = config
        self.busy = threading.Lock()
        self.score_thr = getattr(model, 'score_thr', None)
        if self.score_thr is not None:
            model.score_thr = min(LEAST_SCORE, self.score_thr)

    @property
    def catalogue(self) -> dict[str, Any]:
        """What the page reads first; see page/main.js."""
        model = self.model
        network = type(getattr(model.network, 'backbone', model.network)).__name__
        entry = {
            'name': self.config.stem,
            'title': self.config.stem,
            'description': f'{model.task} with {network}, {len(model.classes)} classes',
            'task': model.task,
            'classes': model.classes,
            'palette': [list(colour) for colour in model.palette],
            'score_thr': self.score_thr,
        }
        return {
            'mode': 'server',
            'version': __version__,
            'device': in_words(model.device),
            'models': [entry],
            'samples': [],
        }

    def answer(self, content: bytes) -> dict[str, Any]:
        """What is found in a picture, in the form of page/outputs.js.

        Args:
            content: The picture's file.

        Raises:
            UserError: It is no picture, or the network cannot take it.
        """
        picture = picture_of(content)
        with self.busy:
            prediction = self.model(picture)
            shown = self.attention_of(picture)
        height, width = picture.shape[:2]
        return {'size': {'width': width, 'height': height}, **answer_of(prediction), 'attention': shown}

    def attention_of(self, picture: Any) -> dict[str, Any] | None:
        """The attention of the stage and blocks that ``mmgcvit visualize attention`` draws by default, with its title.

        None of backbones that are not this package's, and where a stage's attention is no map.
        """
        try:
            found = attention(self.model, picture)
        except UserError:
            return None
        block = found.blocks[-1]
        title = attention_title(found.network, found.stage, block.block, block.kind)
        return {**attention_of(found), 'title': title}
