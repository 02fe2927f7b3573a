"""Export trained models to ONNX files. Read onnx_file.py first, then graphs.py, and for detectors
detector_graph.py, which has what they share. Each kind has a file: two_stage_graph.py,
dino_graph.py, rtmdet_graph.py and mask2former_graph.py.

``onnx_predictor.py`` runs a file, without torch. ``one_file.py`` writes it, with all that it uses
of this package, as one file to copy.
"""
