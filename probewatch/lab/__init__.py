"""Namespaces as node and pods, a faithful prober, misbehaving servers: a side house for trying things out.

Empty as yet. Only `cli` and the tests may import it.
"""
