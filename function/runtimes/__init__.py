"""The function under servers of others: Knative's func-python and parliament."""
