"""The plugin as its users meet it, each in a pytest of its own, inside this process: a process each would take seconds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probewatch import analyze, expect, record
from probewatch.capture.filters import Filter

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("-q", "--no-header", "--color=no", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "console_output_style=classic")

RECORDS = """
    import socket

    def say(text):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(text, ("127.0.0.1", 9))

    def test_it(probe_recorder):
        recording = probe_recorder("lo", filter="udp port 9")
        say(b"said")
        recording.stop()
        print("path:", recording.path, recording.frames)
        assert recording.frames == {frames}
"""


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import what the plugin will: pytester takes away what a run inside imports anew, and leaves two copies of it."""
    folder = ROOT / "captures" / "https-503"
    expect(analyze(folder / "capture.pcap", spec=folder / "pod.yaml", keylog=folder / "keys.log")).probe()
    assert record is not None
    Filter("udp")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return an empty project beside the captures."""
    (pytester.path / "captures").symlink_to(ROOT / "captures")
    return pytester


def recorded(result: pytest.RunResult) -> Path:
    """Return the path that a test printed."""
    return Path(re.search(r"^path: (\S+)", result.stdout.str(), flags=re.MULTILINE)[1])


def test_fixtures_are_listed_with_their_scope(pytester: pytest.Pytester) -> None:
    """`pytest --fixtures` explains the fixtures, as pyroute2's are explained."""
    text = pytester.runpytest_inprocess("--fixtures", "-v").stdout.str()
    for name in ("probewatch_timeline", "probe_recorder", "capture_trees"):
        assert name in text
    assert text.count("Scope: function.") >= 2


def test_the_plugin_costs_nothing_before_it_is_used(pytester: pytest.Pytester) -> None:
    """A run whose tests use none of it imports nothing of probewatch but the plugin."""
    pytester.makepyfile(
        """
        import sys

        def test_light():
            there = {name for name in sys.modules if name.startswith("probewatch")}
            assert there <= {"probewatch", "probewatch.pytest_plugin"}
        """
    )
    pytester.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=1)


def test_saved_captures_are_found_beside_the_test(project: pytest.Pytester) -> None:
    """Relative paths begin at the test's directory wherever pytest runs; equal calls are one analysis, others are not."""
    folder = project.mkdir("deep")
    (folder / "captures").symlink_to(ROOT / "captures")
    (folder / "test_it.py").write_text(
        "def test_it(probewatch_timeline):\n"
        "    one = probewatch_timeline('captures/tcp-ready/capture.pcap', spec='captures/tcp-ready/pod.yaml')\n"
        "    assert one.captures[0].path == 'deep/captures/tcp-ready/capture.pcap'\n"
        "    assert one.probes[0].spec is not None\n"
        "    assert probewatch_timeline('captures/tcp-ready/capture.pcap', spec=['captures/tcp-ready/pod.yaml']) is one\n"
        "    assert probewatch_timeline('captures/tcp-ready/capture.pcap').probes[0].spec is None\n"
        "def test_keys(probewatch_timeline):\n"
        "    folder = 'captures/https-503'\n"
        "    shown = probewatch_timeline(f'{folder}/capture.pcap', keylog=f'{folder}/keys.log')\n"
        "    assert shown.probes[0].attempts[0].status == 503\n"
    )
    project.runpytest_inprocess(*OPTIONS, "deep").assert_outcomes(passed=2)


def test_a_file_that_was_written_since_is_read_anew(project: pytest.Pytester) -> None:
    """The timeline of a path is that of what stands there now."""
    project.makepyfile(
        "import shutil\n"
        "def test_it(probewatch_timeline, tmp_path):\n"
        "    path = tmp_path / 'one.pcap'\n"
        "    shutil.copy('captures/http-flap-s1/capture.pcap', path)\n"
        "    first = probewatch_timeline(path)\n"
        "    assert probewatch_timeline(path) is first\n"
        "    shutil.copy('captures/tcp-ready/capture.pcap', path)\n"
        "    assert probewatch_timeline(path).probes[0].handler != first.probes[0].handler\n"
    )
    project.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=1)


def test_expectations_need_verify(project: pytest.Pytester) -> None:
    """A file of expectations that nothing would be held against is refused."""
    project.makepyfile("def test_it(probewatch_timeline): probewatch_timeline('a.pcap', expect='b.yaml')")
    result = project.runpytest_inprocess(*OPTIONS)
    result.stdout.fnmatch_lines(["*takes expect only with verify=True*"])


def test_a_missing_capture_is_one_sentence(project: pytest.Pytester) -> None:
    """A path that is not there fails the test with the sentence that the command line has."""
    project.makepyfile("def test_it(probewatch_timeline): probewatch_timeline('nosuch.pcap')")
    result = project.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*probewatch.capture.errors.CaptureError: nosuch.pcap does not exist*"])


@pytest.mark.parametrize("line", [
    "probewatch_timeline('nosuch.pcap')", "probewatch_timeline('captures/tcp-ready/capture.pcap', spec='nosuch.yaml')",
    "probewatch_timeline('captures/tcp-ready/capture.pcap', specs='captures/tcp-ready/pod.yaml')",
    "expect(probewatch_timeline('captures/tcp-ready/capture.pcap')).probe().never('restarted')",
    "expect(probewatch_timeline('captures/tcp-ready/capture.pcap')).probe().state('ready')",
    "expect(probewatch_timeline('captures/tcp-ready/capture.pcap')).probe().verified()",
])  # fmt: skip
def test_what_a_test_gives_wrongly_fails_at_its_own_line(project: pytest.Pytester, line: str) -> None:
    """No frame of the library stands between the test's line and the sentence: its inside says nothing to whoever wrote the test."""
    project.makepyfile(f"from probewatch import expect\ndef test_it(probewatch_timeline): {line}")
    result = project.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(failed=1)
    places = [shown for shown in result.outlines if re.match(r"\S+\.py:\d+: ", shown)]
    assert [place.partition(":")[0] for place in places] == [
        "test_what_a_test_gives_wrongly_fails_at_its_own_line.py"
    ]


def test_the_failure_is_the_test_s_own_line(project: pytest.Pytester) -> None:
    """The report shows the line of the test that did not hold, not the inside of the assertions, and the whole story."""
    project.makepyfile(
        """
        from probewatch import expect

        def test_it(probewatch_timeline):
            timeline = probewatch_timeline("captures/tcp-flap/capture.pcap", spec="captures/tcp-flap/pod.yaml")
            expect(timeline).probe("readiness").outcomes(["failure"] * 10 + ["success"] * 2, first=1)
        """
    )
    result = project.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(failed=1)
    story = [line for line in result.outlines if line.startswith(("E ", ">"))]
    shows = "probewatch explain captures/tcp-flap/capture.pcap --probe p1 --attempt 11"
    assert story == [
        ">       expect(timeline).probe(\"readiness\").outcomes([\"failure\"] * 10 + [\"success\"] * 2, first=1)",
        "E       AssertionError: readiness outcomes: #11 is failure (refused), expected success*2 there",
        "E         of lab/tcp-flap/app TCP 10.128.0.10:9090",
        "E         - expected failure*10, success*2",
        "E         + observed failure*11, success",
        "E           #9   +11.425  refused  0.02 ms  Sr     failure 9/3          frames 41-42",
        "E           #10  +12.429  refused  0.02 ms  Sr     failure 10/3         frames 43-44",
        "E         > #11  +13.425  refused  0.02 ms  Sr     failure 11/3         frames 47-48",
        "E           #12  +14.426  open     0.02 ms  ShAFf  success 1/1   Ready  frames 50-55",
        "E           #13  +15.425  open     0.02 ms  ShAFf  success 2/1          frames 56-61",
        *(line for line in story if " cause  " in line or " check  " in line or " try    " in line),
        f"E           {shows}  (with what the test was given; --spec pod.yaml)",
        "E           in captures/tcp-flap/capture.pcap, frames 47-48",
        "E           tshark -r captures/tcp-flap/capture.pcap -Y 'frame.number in {47..48}'",
    ]
    assert sum(" cause  #11 " in line or " try    " in line for line in story) == 2, "why, and what to do next"
    assert "assertions.py" not in result.stdout.str()


@pytest.mark.usefixtures("needs_root")
class TestRecordings:
    """Live recordings on this machine's own lo."""

    def test_of_a_passed_test_is_deleted(self, pytester: pytest.Pytester) -> None:
        """Nothing is left of a recording whose test passed, and nothing is said."""
        pytester.makepyfile(RECORDS.format(frames=1))
        result = pytester.runpytest_inprocess(*OPTIONS, "-s")
        result.assert_outcomes(passed=1)
        assert not recorded(result).exists()
        assert "captures kept" not in result.stdout.str()

    def test_of_a_failed_test_is_kept(self, pytester: pytest.Pytester) -> None:
        """The report of a failed test names the recording, which is whole and shows what passed."""
        from probewatch.capture import Reader

        pytester.makepyfile(RECORDS.format(frames=2))
        result = pytester.runpytest_inprocess(*OPTIONS)
        result.assert_outcomes(failed=1)
        path = recorded(result)
        result.stdout.fnmatch_lines(["*probewatch: captures kept*", f"{path} (1 frame of interface lo)"])
        with Reader(str(path), 0) as reader:
            assert [frame.data[-4:] for frame in reader] == [b"said"]
            assert reader.info().complete

    def test_of_an_interrupted_test_is_named(self, pytester: pytest.Pytester) -> None:
        """After Ctrl-C what was recorded is kept, and the summary names it."""
        pytester.makepyfile(RECORDS.format(frames=1) + "        raise KeyboardInterrupt\n")
        result = pytester.runpytest_subprocess(*OPTIONS, "-s")
        result.stdout.fnmatch_lines(["*probewatch: captures kept*", "* (1 frame of interface lo)"])
        named = re.search(r"^(\S+) \(1 frame of interface lo\)", result.stdout.str(), flags=re.MULTILINE)
        assert named is not None
        assert Path(named[1]).exists()

    def test_goes_where_it_shall(self, pytester: pytest.Pytester) -> None:
        """`--keep-captures` names the directory, made if it is missing; a second failure does not overwrite the first."""
        pytester.makepyfile(RECORDS.format(frames=2))
        for _ in range(2):
            pytester.runpytest_inprocess(*OPTIONS, "--keep-captures", "artifacts/captures").assert_outcomes(failed=1)
        assert sorted(path.name for path in (pytester.path / "artifacts" / "captures").iterdir()) == [
            "test_it-lo-2.pcapng", "test_it-lo.pcapng",
        ]  # fmt: skip

    def test_a_failing_teardown_keeps_it_too(self, pytester: pytest.Pytester) -> None:
        """What fails after the test is a reason to keep its recording."""
        pytester.makepyfile(
            """
            import pytest

            @pytest.fixture
            def breaks():
                yield
                assert False

            def test_it(breaks, probe_recorder):
                print("path:", probe_recorder("lo").path)
            """
        )
        result = pytester.runpytest_inprocess(*OPTIONS)
        result.assert_outcomes(passed=1, errors=1)
        assert recorded(result).is_file()

    def test_hostile_names_stay_in_the_directory(self, pytester: pytest.Pytester) -> None:
        """Whatever a test is called, its recording is a plain file name."""
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.parametrize("value", ["../../etc/passwd", "a b\\x1b[2J", "x" * 300])
            def test_it(value, probe_recorder):
                assert probe_recorder("lo").path.parent.name != "captures"
                assert False
            """
        )
        result = pytester.runpytest_inprocess(*OPTIONS, "--keep-captures", "kept")
        result.assert_outcomes(failed=3)
        names = [path.name for path in (pytester.path / "kept").iterdir()]
        assert len(names) == 3
        assert all(re.fullmatch(r"[\w.-]{1,120}", name) for name in names)

    def test_what_cannot_be_recorded_is_one_sentence(self, pytester: pytest.Pytester) -> None:
        """A missing interface fails the test with its sentence and leaves no file."""
        pytester.makepyfile("def test_it(probe_recorder): probe_recorder('nosuch0')")
        result = pytester.runpytest_inprocess(*OPTIONS, "--keep-captures", "kept")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E*CaptureError: interface nosuch0 does not exist: `ip link` lists those there are"])
        assert list((pytester.path / "kept").iterdir()) == []

    def test_waiting_in_vain_says_what_was_seen(self, pytester: pytest.Pytester) -> None:
        """`wait_for` ends at its limit with a sentence."""
        pytester.makepyfile(
            """
            def test_it(probe_recorder):
                probe_recorder("lo", filter="udp port 9").wait_for(lambda timeline: timeline.probes, seconds=0.3)
            """
        )
        result = pytester.runpytest_inprocess(*OPTIONS)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["E*TimeoutError: waited 0.3 s in vain on interface lo: no probe was seen at all, in 0 frames of */test_it-lo.pcapng; *"]
        )

