"""HTTP, from a socket to a whole request in a thread, and back. uvicorn frames; nothing here parses.

``serving`` listens (uvicorn), ``connection`` counts and times what the library's parser sees, ``application`` takes one request
from its head to the end of its answer: it has the body gathered (`gathering`) and the WSGI application called in a thread
(`wsgi`, `threads`), or lets lines pass through as they come (`streaming`). ``application`` and what it uses are plain ASGI and
serve other runtimes too; only ``serving`` and ``connection`` know uvicorn. Nothing here knows Flask.
"""
