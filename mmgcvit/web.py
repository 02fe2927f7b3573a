"""A Gradio page on which to try a trained model: upload a picture, see the predictions drawn."""

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

    A detector's ``score_thr`` becomes :data:`LOWEST_SCORE`, so that the page's slider can filter without another
    prediction.
    """
    is_detector = model.task == 'detection'
    threshold = model.score_thr if is_detector else LOWEST_SCORE
    if is_detector:
        model.score_thr = LOWEST_SCORE

    def predict(path: str | None, least: float) -> tuple[Any, ...]:
        """Predict for a picture's file: the prediction, which the slider needs, and what is shown."""
        if path is None:
            return None, None, None
        try:
            prediction = model(path)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return prediction, *show(path, prediction, least)

    def show(path: str | None, prediction: Prediction | None, least: float) -> tuple[Any, Any]:
        """The drawing and the summary of what scores at least ``least``."""
        if path is None or prediction is None:
            return None, None
        shown = prediction.select(np.flatnonzero(prediction.scores >= least)) if is_detector else prediction
        return model.draw(path, shown)[..., ::-1], summarise(shown, model.classes)

    # With analytics on, Gradio would report to its makers and ask them for its newest version.
    with gr.Blocks(title=f'mmgcvit: {model.task}', analytics_enabled=False) as page:
        found = gr.State()
        with gr.Row():
            with gr.Column():
                # The file itself, which the model decodes as in training; a mirrored camera would turn letters around.
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
    """A detector's objects as rows of a table; else the score, or the share of the pixels, of each class."""
    if isinstance(prediction, Classification):
        return dict(zip(classes, prediction.scores.tolist(), strict=True))
    if isinstance(prediction, Segmentation):
        return dict(zip(prediction.class_names, (prediction.areas / prediction.label_map.size).tolist(), strict=True))
    objects = zip(prediction.class_names, prediction.scores, prediction.boxes.round().astype(int), strict=True)
    return [[name, f'{score:.2f}', ', '.join(map(str, box))] for name, score, box in objects]


def serve_page(page: gr.Blocks, port: int) -> str:
    """Start serving a page to this machine alone, in threads; returns its address. A UserError if the port is taken."""
    # Requests under other host names are rejected: they come from pages of the web (DNS rebinding).
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
        raise UserError(f'port {port} is taken; name another with --port') from None
    return address
