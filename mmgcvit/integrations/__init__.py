"""The backbones in other frameworks, one file each: transformers, timm, and torchvision's detectors.

Each is a module that users import where they use its framework; nothing else in the package does. Begin with
torchvision.py, the shortest.
"""
