"""``verify``: real requests through the ingress while the cluster is watched, as checks that pass,
fail or are skipped.

What judges (``answers``, ``warm``) works without a network. May import ``knative.cluster`` and
``knative.look``.
"""
