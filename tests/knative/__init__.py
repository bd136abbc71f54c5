"""``python -m knative`` against a cluster that the tests play."""
