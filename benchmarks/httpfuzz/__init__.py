"""A fuzzer of the function's HTTP/1 framing; its oracle is h11 and the stricter rules of RFC 9112: ``python -m benchmarks.httpfuzz``.

`pools` has the variants that a mutation chooses from, `drafts` makes requests of them, `streams` puts these one behind the other;
`oracle` says how a server has to take the bytes, `answers` reads what it sent, `judge` compares, and `allowances` names each
difference that is legitimate. `client` is the load. But for `__main__`, nothing here knows which server it talks to.
"""
