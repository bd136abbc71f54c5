"""Work with a cluster: ``python -m knative`` (from a checkout), the charts and their YAML, the
monitoring.

``cli`` (options and output) -> ``apply``, ``look``, ``verify`` (what the commands do) ->
``cluster`` (the Kubernetes API). May import ``vaccel_rpc`` and ``vaccel_common``, never ``agent``
or ``function``.
"""

from vaccel_common.missing import explain_tools

explain_tools(__name__, "install-deploy")
