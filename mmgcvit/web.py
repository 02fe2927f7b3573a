"""A Gradio page: upload a picture, see the predictions of a model."""

from typing import Any

import gradio as gr
import numpy as np
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from .errors import UserError
from .inference import Predictor
from .inference.results import Classification, Prediction, Segmentation

LOOPBACK = '127.0.0.1'
LOWEST_SCORE = 0.05


def build_page(model: Predictor) -> gr.Blocks:
    """Build the page of a model.

    Sets a detector's ``score_thr`` to :data:`LOWEST_SCORE`; the slider then filters without predicting again.
    """
    is_detector = model.task == 'detection'
    threshold = model.score_thr if is_detector else LOWEST_SCORE
    if is_detector:
        model.score_thr = LOWEST_SCORE

    def predict(path: str | None, least: float) -> tuple[Any, ...]:
        """Return the prediction, for the slider, and what the page shows."""
        if path is None:
            return None, None, None
        try:
            prediction = model(path)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return prediction, *show(path, prediction, least)

    def show(path: str | None, prediction: Prediction | None, least: float) -> tuple[Any, Any]:
        """Return the drawing and the summary of predictions with a score of at least ``least``."""
        if path is None or prediction is None:
            return None, None
        shown = prediction.select(np.flatnonzero(prediction.scores >= least)) if is_detector else prediction
        return model.draw(path, shown)[..., ::-1], summarise(shown, model.classes)

    # With analytics Gradio would contact its servers.
    with gr.Blocks(title=f'mmgcvit: {model.task}', analytics_enabled=False) as page:
        found = gr.State()
        with gr.Row():
            with gr.Column():
                # A file, so that the model decodes it as in training; mirroring would reverse letters.
                picture = gr.Image(
                    label='Picture',
                    type='filepath',
                    image_mode=None,
                    sources=['upload', 'webcam'],
                    webcam_options=gr.WebcamOptions(mirror=False),
                )
                least = gr.Slider(LOWEST_SCORE, 1, threshold, step=0.05, label='Score threshold', visible=is_detector)
            with gr.Column():
                drawing = gr.Image(label='Prediction', format='png', interactive=False, buttons=['download'])
                if is_detector:
                    summary = gr.Dataframe(headers=['class', 'score', 'box'], label='Objects', interactive=False)
                else:
                    label = 'Scores' if model.task == 'classification' else 'Shares of the pixels'
                    summary = gr.Label(label=label, num_top_classes=5)
        picture.change(predict, [picture, least], [found, drawing, summary])
        least.change(show, [picture, found, least], [drawing, summary])
    return page


def summarise(prediction: Prediction, classes: list[str]) -> Any:
    """Return table rows of a detector's objects, or the score or share of pixels of each class."""
    if isinstance(prediction, Classification):
        return dict(zip(classes, prediction.scores.tolist(), strict=True))
    if isinstance(prediction, Segmentation):
        return dict(zip(prediction.class_names, (prediction.areas / prediction.label_map.size).tolist(), strict=True))
    objects = zip(prediction.class_names, prediction.scores, prediction.boxes.round().astype(int), strict=True)
    return [[name, f'{score:.2f}', ', '.join(map(str, box))] for name, score, box in objects]


def serve_page(page: gr.Blocks, port: int) -> str:
    """Serve a page on this machine only, in threads, and return its URL.

    Raises:
        UserError: The port is in use.
    """
    # Reject other host names, against DNS rebinding.
    only_this_machine = Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, 'localhost'])
    try:
        _, address, _ = page.launch(
            server_name=LOOPBACK,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            show_error=True,
            footer_links=[],
            run_history=False,
            app_kwargs={'middleware': [only_this_machine]},
        )
    except OSError:
        raise UserError(f'port {port} is in use; choose another with --port') from None
    return address
