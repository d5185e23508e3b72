"""A timeline against what was asked for, or might be. Pure: values in, values out.

declared.verify    every declared probe: seen or not, its fields, how it was carried out
missing            probes that nobody sent, and what was sent instead
fields             declared fields against what the packets allow (`Probe.measures`)
conduct            source, gaps, startup gate, retries, decisions
names              how findings call what they are about

whatif.whatif      what would have been decided under other settings, best and worst case
container          the probes of one container put back together, and what their workers remembered
replay             one replay of a container in one case
feed               the attempts a worker would make
supposed           one recorded attempt under another timeout
bounds             how fast settings can be, and which timeout the observed latencies need
"""
