"""Load trained models, predict images, and draw and write predictions.

To read the code, start with ``load`` in :mod:`.model_files`, then read :mod:`.predictor`.
"""
