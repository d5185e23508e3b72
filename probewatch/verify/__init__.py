"""A timeline against what was asked for: findings. Pure: values in, values out.

declared.verify    every declared probe: seen or not, its fields, how it was carried out
missing            probes that nobody sent, and what was sent instead
fields             declared fields against what the packets allow (`Probe.measures`)
conduct            source, gaps, startup gate, retries, decisions
names              how findings call what they are about
"""
