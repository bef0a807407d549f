"""Long runs: many requests through one Envoy while its collector fails and its configuration changes.

`python -m mesh.soak` (with PYTHONPATH=tests), or `make soak`.
"""
