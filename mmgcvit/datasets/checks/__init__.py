"""Apply the rules to the datasets of a config before training: all annotations, and all images or a
random sample.
"""
