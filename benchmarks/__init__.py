"""Figures that anyone can reproduce: each is a ratio of two things measured in one run, since
machines differ.

``python -m benchmarks`` runs `benchmarks.parts` and writes JSON, tables and plots;
``python -m benchmarks.simulate`` compares packing rules; ``fuzz``, ``httpfuzz``, ``lines``,
``profile``, ``servers`` and ``slow`` are programs of their own. `benchmarks.config` and
`benchmarks.programs` have the options. May import everything of this project.
"""

from vaccel_common.missing import explain_tools

explain_tools(__name__, "install-dev")
