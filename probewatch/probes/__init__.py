"""Connections to attempts to probes: what was a check, whose, and how it ended.

`forms` says what a connection asked and whether a kubelet asks so, `runs` joins retries and redirects, `judge` gives outcome and
cause, `assign` reads an attempt in the ways the workers' predictions allow, `sources` decides who is a kubelet, `cadence` and
`inference` find probes that no spec declares; `signatures` and `checkers` know everybody else. Pure; `decisions` is not imported:
`observer` carries predictions over as data.

The modules, each by its first sentence:

    asked       what the attempts of a probe asked for, as far as the packets show it
    assign      whose attempt is this? Reads one run in every way the workers' predictions allow
    cadence     regularity: the period of a series of starts, and the chains of equal steps in it
    checkers    which checks belong together
    costs       how far-fetched each way to read an attempt is (`assign`), and how exact a kubelet keeps its moments
    courses     patterns over the course of probes: ends of pods, gaps, paces, and what several pods say together
    delays      when a container's probes began, against initialDelaySeconds
    diagnose    why one attempt ended so
    ends        when a checker was through with a connection, or with its question
    execs       exec probes: process events put together to runs of a command, and what came of each
    forms       the form of one check: what a connection asked, and whether a kubelet asks like that
    guesses     who may ask like that where no row of `signatures` names anybody
    held        connections of others that hold a server up: one client's silence that all answers wait for
    inference   guess the probes of a target from its attempts alone, where no Pod spec tells them
    judge       what came of one connection: outcome and cause as the kubelet would count them
    lately      when a checker probed anybody lately: tells a kubelet's silence from a pod's
    learnt      what a series of checks shows of itself
    loops       A container that is restarted again and again
    neighbours  what attempts at one port say about each other: what was left open by one, another one may settle
    networks    what a source address says of the network that probes come through: a table, one row a network
    oneway      captures that hold one direction only
    openings    when clients opened connections, in bounded memory
    patience    how long a checker waits: timeoutSeconds as its own giving up, and its own waiting, show it
    patterns    what many attempts together show: of one probe, of all probes of a pod, of all pods of a node
    places      where a segment died: what several vantage points on one way together show of it
    proxies     which proxy passes requests on to a target, by the headers that it adds
    questions   checks on a kept connection
    repeats     checks that are tried again at once when they fail: Monit's `retry N`
    replies     what a server's answer in a protocol of its own is worth to a checker: yes, no, or nothing
    rounds      questions on a kept connection that cannot be read
    routes      patterns over the links that attempts went by
    runs        connections that belong together
    scene       all probes of a timeline before the patterns
    shapes      what the connections of a checker have in common: how they ask and how they close
    sidecars    probes of a kubelet that a service mesh answers in the application's place
    signatures  who asks like that? One table of the checkers that are not the kubelet
    silences    patterns over attempts that got no connection
    sources     who checks: whether a source address is a kubelet's, and how we know
    starts      patterns over beginnings of containers
    steps       checks that make several connections, one after another
    stopped     A kubelet that got no CPU for a moment
    waits       how long kernels took to answer, to SYNs and to requests
"""
