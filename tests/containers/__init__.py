"""The images in real containers: ``make e2e-containers``."""
