"""A kit for whatever puts load on the function or checks its answers: `benchmarks`, `loadtests`,
`knative` and tests.

It uses the standard library alone and imports nothing of this project, so it works in every
environment.
"""
