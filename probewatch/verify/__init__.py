"""A timeline against what was asked for, or might be. Pure: values in, values out.

By a Pod spec:
declared.verify    every declared probe: seen or not, its fields, how it was carried out
missing            probes that nobody sent, and what was sent instead
fields             declared fields against what the packets allow (`Probe.measures`)
conduct            source, gaps, startup gate, retries, decisions

inferred.infer     the spec that packets alone show, with how sure each field is
differences        declared fields beside observed ones

By an expectations file (`model.expectation`):
expect.check       every expectation of every probe that a selector means
selecting          which probe a selector means: yes, no, perhaps
claims             of attempts: number, outcomes (`sequence`), causes, latency, pace, source
moments            of decisions: which, when, never, the state at the end
untold             what a capture cannot tell
learn              expectations out of a good timeline

names              how findings call what they are about
case               how a finding on one probe is made

whatif.whatif      what would have been decided under other settings, best and worst case
container          the probes of one container put back together, and what their workers remembered
replay             one replay of a container in one case
feed               the attempts a worker would make
supposed           one recorded attempt under another timeout
bounds             how fast settings can be, and which timeout the observed latencies need

And:

    account    what the kubelet said beside what the wire shows
    offset     how far the clock of a kubelet's log or of its events is ahead of the capture's
    utterance  whether what the kubelet said can be about an attempt
    who        expectations of who probes: from which addresses, which node, which program
"""
