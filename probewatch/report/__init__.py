"""Values to text, JSON and NDJSON.

The modules, each by its first sentence:

    account          what the kubelet said beside what the wire shows, for people
    answers          answers of `probewatch who`
    comments         comments on the frames that mattered, for a capture that is opened in Wireshark
    conversation     why an assertion about a probe does not hold
    document         A timeline as the JSON document `probewatch.timeline/1`: plain dicts, and a writer that streams
                     them
    escape           what comes from the wire or a file is hostile: make it harmless for a terminal, and valid for
                     JSON
    expectation      expectations as the YAML file that `cluster.read_expectations` reads: what `verify --write-
                     expect` prints
    failures         failed attempts of a probe: counted, told in a few words, and sorted by what they did or when they
                     came
    findings         findings for people: the verdict first
    github           findings as annotations of GitHub Actions: `::error file=...,title=...::message`, a line each
    html             the report as one HTML file: no network, no script, nothing beside it; to attach to a ticket
    html_latency     latency against the timeout, as numbers for the template
    html_page        A timeline as the values that the HTML report's template writes, section by section
    html_scale       time as a share of a drawing's width, and round moments to mark on it
    html_strip       the drawn timeline of one probe, as numbers for the template
    html_values      what the HTML report's template is given: a page and its sections, every text of it safe for a
                     terminal
    html_verdict     the verdict of the HTML report
    junit            findings as JUnit XML, as GitLab, Jenkins and GitHub's report actions read it
    junit_probes     probes as JUnit XML, for CI that records a capture beside its tests
    jsontext         JSON as all of it is written: ASCII, valid whatever a name or a header held, one object a line
                     or indented
    kubelet_says     the kubelet's own message for an attempt
    ladder           A ladder for people: as wide as the terminal
    ladder_bars      the phases of a ladder's connections as bars on one scale, against the timeout
    ladder_document  ladders as JSON: `probewatch.ladder/1`, for programs
    ladder_rails     the rails of a ladder: the frames of one attempt between checker and target, one a line
    live             attempts and decisions as they happen, a line each, in the words of the table's rows
    metrics          A timeline as metrics (OpenMetrics 1.0 text)
    moves            A Pod that was made anew at another address, as whoever watches sees it
    ndjson           the timeline as it becomes known: one JSON object a line
    node             what a node shows of itself
    numbers          numbers and times for people and for JSON: the one place that decides how many digits
    outline          what a report says of a timeline, whatever it is written on
    paper            lines for a terminal or a file: styled pieces, columns, colour or none, Unicode marks or ASCII
    reasons          why what went wrong with a probe went wrong, in words
    rollouts         workloads and their revisions for people
    rows             which of a probe's attempts, decisions, gaps and events a table shows, as rows
    scalar           values as YAML scalars that mean just these values, whatever the text holds
    screen           the live table: a row a probe, with its state, streak, latest results and how long until the next
                     attempt
    select           what of a timeline is shown: a stretch of time, some probes
    service          where a probe stands at the end of the input: whether what was wrong is over, and since when
    sparkline        A probe's attempts as one line of marks: the taller, the nearer to the timeout
    spec_document    inferred specs as the JSON document `probewatch.spec/1`: plain dicts. docs/spec.md lists the
                     fields
    specdiff         declared specs beside what was observed, as a table: `verify.differences` for people
    specyaml         inferred specs as YAML to paste
    strokes          what a ladder is drawn with, in Unicode or ASCII, and how outcomes look
    text             the timeline for people
    trace            A timeline as trace events
    verdict          what to think of a probe, in one sentence: the first thing a reader sees
    verdicts         what to think of each probe, for programs: who fails, since when, whether it is over, why, and
                     what next
    whatif           what would have been under other settings, for people
    whatif_document  what would have been under other settings as the JSON document `probewatch.whatif/1`: plain dicts
    words            the nouns in words: who probes, what was asked, what an attempt brought
"""
