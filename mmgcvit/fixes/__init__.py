"""Subclasses of modules, transforms and metrics of mmdet and mmseg, each of which works around a
fault.

Each says which fault, and when it can go. Configs import them by ``custom_imports``.
"""
