"""The one place where the parts meet: frames in, events out, one Timeline at the end.

`core` carries frames through `wire` and sorts what comes out by target; `target` decides what is a kubelet's attempt
and what is not; `lane` assigns attempts to
workers and lets `decisions` count them; `build` and `assemble` turn the result into the values of `model.timeline`.
Pure: time enters as data.

The modules, each by its first sentence:

    accounted      when all that a checker sent of its own is accounted for
    amended        where a declared plan is not what runs here
    asking         which of a kubelet's runs ask as its probes do, where no spec says what they should ask
    assemble       probes out of lanes and series: every value a report shows of a probe is put together here
    beginnings     where a capture begins
    build          steps of a lane into the values people see
    checks         probes of checkers that are not the kubelet: what came of each check, and when they said UP and
                   DOWN
    core           frames in, a Timeline out: carries what `wire` finds to the targets, and makes probes of what they
                   found
    course         the course of a series of checks: the state of what is checked as each result counts, from what its
                   checker began with
    crashed        whether a container whose liveness or startup probe was failing ended by itself, or was killed for
                   it
    declared       what a series' checker was told, and what it therefore needs to say UP or DOWN
    effects        what the Pod's readiness did to its clients' traffic
    elsewhere      when a checker probed anybody lately, as each of its attempts saw it
    ending         the state at the end of a readiness probe whose container ended without the probe deciding anything
    execs          process events in the observer
    failing        probes that fail where a capture begins
    front          the half of the observer that frames go into
    groups         all runs of one source at one port, and the series in them, before anybody asks whose they are
    histories      what a lane carries on: ways to read a pod's runs so far, each a chain of steps
    implied        attempts that sent nothing
    keeper         decides what is let go, and when
    kept           connections that checkers keep, as they come from the tracker
    lacking        what a capture lacks by the way it was taken
    ladder         ladders: the frames of chosen attempts, found again in a second pass over the captures
    lane           one pod's timeline as it grows: runs in, assigned attempts and decisions out
    lasting        connections that clients keep
    ledger         the books of one lane
    losses         what a capture does not hold, and what that leaves open
    measures       all that the packets allow the fields of a lane's probes to be
    nested         whether each connection of one series lies inside one of another's, in time
    others         everything that reaches a target and is no proven probe
    overdue        attempts that are overdue while time passes
    pauses         what the pauses of a checker's series show besides its numbers
    phases         the phases of a connection: what it waited for, and for how long
    picking        which frames are those of probes
    places         place the lost and late segments of all probes between the vantage points that saw them
    preview        how attempts read at the moment they have their verdict
    queue          what reaches one target and waits for its turn
    readiness      when a Pod was Ready, as far as its probes show
    results        what came of each check of a series: how it ended, and whether it passed
    rollout_story  what is said of a workload and its revisions: one state, one sentence
    rollouts       probes by workload and revision
    sealed         checks inside TLS that no keys open: which answer is the usual one, by the lengths of its records
                   alone
    seams          whether a pause before a new file is one that nobody captured
    senders        who sends: what is known of each source, and the runs that wait at their targets until it is known
    settings       what the observer is told beside the frames
    slim           what is kept of a connection once it was read
    strangers      what no kubelet sent: held
    strains        what a reading of a pod's attempts strains beyond its costs (`probes.costs`)
    streams        new connections of one client to one port, and which of them may have come by way of endpoints
    stride         attempts that succeed one after the other, each when it was due, taken many at once
    survey         which series are checks, and whose
    target         one probed address: sorts what reaches it into kubelet attempts and the rest, and runs its lanes
    teller         tells what becomes known as it becomes known: ids that stay, revisions that only go up
    tls            what is told of TLS beside an attempt's verdict
    together       what only all probes together tell: one event for all who show it, and why attempts failed
    trouble        findings on client traffic
    twins          readiness and liveness that ask the same: which attempts are whose, and whether anything tells
    tying          manifests that tell no address: which of them is probed at a target, by what its probes ask and how
                   often
    typed          types of probes that nobody declared, told by how far-fetched their attempts read as each of them
    unmatched      what is declared and does not fit what was seen, and why
    unseen         what came of a checker's checks that the capture lost
    weigh          what the packets allow each number of a spec to be: the same attempts read again under other
                   numbers
    whose          whose was this connection? A timeline and the connections of one endpoint, as answers for people
"""

from .core import Observer
from .ledger import Keep
from .settings import Settings
from .teller import Change

__all__ = ["Change", "Keep", "Observer", "Settings"]
