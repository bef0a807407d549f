"""The benchmark: what tracing costs a request, in instructions that Envoy executes.

`python -m mesh.bench` (with PYTHONPATH=tests), or `make bench`.
"""
