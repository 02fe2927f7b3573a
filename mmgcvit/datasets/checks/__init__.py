"""Apply the rules to the datasets of a config before a training or a test: all annotations, and all
images or a random sample.
"""
