"""Requests and answers that no well-behaved program sends, drawn by a seed and played to an Envoy byte by byte."""
