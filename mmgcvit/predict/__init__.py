"""Load trained models, predict images, and draw and write predictions.

The way of an image: :func:`mmgcvit.load` (``load``) finds the files of a model (``model_files``),
and ``loading`` builds a :class:`.Predictor`, of which each task has a subclass (``detector``,
``segmentor``, ``classifier``). ``inputs`` finds images and makes arrays of them; the predictor
returns a :class:`.Prediction` (``results``), which counts itself and makes its JSON records, and
``drawing`` draws it. ``outputs``, ``output_files``, ``csv_files`` and ``measurements`` write what
``mmgcvit predict`` leaves in a folder. Large images are predicted in tiles (``tile_sizes``;
``blending`` for segmentation), and ``thresholds`` are a detector's confidence thresholds.
"""
