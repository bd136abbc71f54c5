"""HTTP: one small module for each way in, put together by ``app``. The only package that knows Flask."""
