"""How calls come in: ttrpc and gRPC.

A transport decodes its envelope, looks the method up in the one table and sends back the service's
answer. It has no logic of its own.
"""
