"""The nouns, as frozen values that everybody imports and that import nothing of ours.

`frame` what was captured; `connection` one TCP connection as the frames show it; `exchange` what was said on it; `spec` what a
Pod asked for; `book` who an address is; `prediction` what a worker will do next; `timeline` attempts, probes, decisions, events;
`catalogue` the words for every cause.

The modules, each by its first sentence:

    answer       what a connection was that somebody logged: the answers of `probewatch who`
    attempts     A probe's attempts in little room: the oldest ones in brief, without their connections
    book         the address book: who an address is, and from where we know
    catalogue    what every cause means and what to do about it
    check        what a checker that is not the kubelet was told to do: one line of its configuration, or one
                 `--check`
    connection   one TCP connection as the frames show it
    diagnoses    the catalogue of diagnoses
    diagnosis    why an attempt ended so, finer than its cause: what the signs on the wire fit, and what to do about
                 it
    direct       frozen values that are made by the million are filled as fast as any object
    exchange     what was said on a connection, as far as it is in clear (or keys were given)
    expectation  what only the user knows of probes, beyond the Pod spec
    finding      verdicts on single expectations: what was expected, what was observed, and the frames that show it
    frame        frames and the captures they come from: what `capture` hands to `wire`
    journal      process events as entries of a systemd journal, the form in which a pcapng keeps them beside its
                 packets
    ladder       one attempt as a ladder diagram
    measure      what packets alone allow a field of a probe's spec to be, with the frames that say so
    packed       an attempt's connections, and what was said on connections that wait, in little room
    path         where a segment was last seen
    prediction   what a worker is expected to do next
    process      what the kernel's process events tell of commands run inside containers
    rollout      pods by workload and revision
    rotated      which inputs are files of one capture
    said         what the kubelet itself said of its probes
    spec         pod specs as probewatch needs them: only what a probe can depend on, already defaulted and resolved
    symptoms     the project's list of symptoms: what the `rows` of a diagnosis number, and what is then on the wire
    timeline     the nouns of the output
    units        units of time: all times and durations inside are whole nanoseconds; and how a duration is
                 written where no `report` writes it
"""
