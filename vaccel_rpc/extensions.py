"""Keys of metadata by which this agent and its clients know of more than vAccel's messages say.

Other agents ignore them. What the agent answers is in fields that other clients skip (numbers from
1000 on).
"""

from __future__ import annotations

#: Of a run, with the value 1: the reply has the run's times, the variant that ran and, for a model
#: that was registered by a name, its sha256.
TIMINGS = "vaccel-timings"
#: Of a run: any text, the same for all runs of one request. An alias with a canary runs all of them
#: by the same model.
REQUEST = "vaccel-request"
#: Of a run of an alias: the sha256 of the model that is to run, which another run of the same
#: request has had.
MODEL = "vaccel-model"
#: Of RegisterResource, by a name: what the client has of the model's tokenizer, labels and
#: signature (`vaccel_common.interface`). A model that differs is refused.
INTERFACE = "vaccel-interface"
