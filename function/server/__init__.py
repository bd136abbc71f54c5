"""HTTP, from a socket to a complete request in a thread, and back. uvicorn parses; nothing here does.

``serving`` is the server (uvicorn). ``connection`` counts and bounds what the library's parser
reports, ``lifecycle`` times, refuses and closes the connection, ``connections`` limits them all.
``application`` takes a request from its head to the end of its response: it has the body read
(`bodies`) and the WSGI application called in a thread (`wsgi`, `threads`), or streams lines
(`streaming`). ``application`` and what it imports are plain ASGI and serve other runtimes too; only
``serving``, ``connection``, ``lifecycle`` and ``parser`` know uvicorn. Nothing here knows Flask.
"""
