"""The command line that classifies a file: ``vaccel-classifier``."""
