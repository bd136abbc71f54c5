"""Several agents as one: which there are, which can be used, and which of them runs what.

`targets` says what a user names, and `discovery` which agents that is now. Each agent is a `members`
member: a link that is kept, and its load. `picking` chooses one, `budget` and `runs` decide what is
run again on another, `health` notices an agent that does not answer any more. `pool` joins them.
"""
