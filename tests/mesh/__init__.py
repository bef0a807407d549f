"""A small real mesh on loopback: real Envoys, small applications, real collectors.

Tests, demo and benchmarks share it.  The Envoy configuration files are those in
`envoy/`, as docker compose runs them; `config.py` only moves them to free ports.
"""
