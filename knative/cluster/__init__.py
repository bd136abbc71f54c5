"""The Kubernetes API for all commands: where the cluster is, its objects, and its refusals as one
line of advice.

Only ``api`` and ``connect`` know the Kubernetes client; ``objects`` and ``refusals`` work on plain
dicts without a network.
"""
