"""One job at a time on a machine: among threads, among processes, and after a process that died."""

import subprocess
import sys
import threading

import pytest

from fp8core.bench import turn as turns
from fp8core.bench.turn import turn

HOLDER = """
import sys
from pathlib import Path
from fp8core.bench import turn
turn.FOLDER = Path(sys.argv[1])
with turn.turn("a long sweep"):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Enough(Exception):
    pass


def refuse(running, seconds):
    raise Enough(running)


@pytest.fixture
def other_process():
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(turns.FOLDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_waited_for_by_name(other_process):
    with pytest.raises(Enough, match="a long sweep"), turn("mine", refuse):
        pass
    other_process.communicate("\n")
    with turn("mine", refuse):
        pass


def test_a_process_that_is_killed_gives_its_turn_back(other_process):
    other_process.kill()
    other_process.wait()
    with turn("mine", refuse):
        pass


def test_threads_come_one_after_the_other():
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        with turn("a thread"):
            inside += 1
            most = max(most, inside)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_who_waits_gets_it_when_it_is_free():
    leave, told = threading.Event(), []

    def hold():
        with turn("the first"):
            entered.set()
            leave.wait(20)

    entered = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(10)

    def waiting(running, seconds):
        told.append(running)
        leave.set()

    with turn("the second", waiting):
        pass
    thread.join()
    assert told[0] == "the first"
