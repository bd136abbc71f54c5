"""What works with a cluster: ``python -m knative`` (from a checkout), the charts and their YAML, the monitoring.

``__main__`` -> ``deploy``, ``status``, ``verify``, ``undeploy`` -> what they look at (`rollout`, `agents`, `functions`, `serving`) ->
`cluster`. Only ``cluster`` and ``connect`` know the Kubernetes client, only ``output`` rich. What decides something (`why`, `states`,
`answers`, `warm`, `overrides`) has no network. May import ``vaccel_rpc``, never ``agent`` or ``function``.
"""
