"""For every test: Triton's kernels run under its interpreter here, on the CPU; triton decides when it is first imported. Turns are taken among the tests of one run only."""

import os

import pytest

os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(autouse=True, scope="session")
def turns_of_this_run(tmp_path_factory):
    from fp8core.bench import turn

    turn.FOLDER = tmp_path_factory.mktemp("turns")
