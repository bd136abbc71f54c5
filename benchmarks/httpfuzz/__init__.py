"""A fuzzer of the function's HTTP/1 framing; its oracle is h11 and the stricter rules of RFC 9112:
``python -m benchmarks.httpfuzz``.

`pools` has the variants that a mutation chooses from, `drafts` builds requests from them, `streams`
concatenates these; `oracle` says how a server has to treat the bytes, `responses` parses what it
sent, `judge` compares the two, and `allowances` names every legitimate difference. `client` sends
the load. Except for `__main__`, nothing here depends on which server is fuzzed.
"""
