"""Load tests of the function and the agent, by Locust. They may import `function` and `vaccel_rpc`;
nothing imports them.

``answers``, ``config``, ``criteria``, ``shapes`` and ``texts`` do not import Locust, so they can be
tested without it.
"""

from vaccel_common.missing import explain_tools

explain_tools(__name__, ".venv-loadtest/installed", names={"loadtests": "locust"})
