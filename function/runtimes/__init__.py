"""The function under the runtimes of Knative Functions: func-python and parliament."""
