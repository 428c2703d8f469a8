"""`make image-check` itself: what it hands to a build, and that it says so where it cannot run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.pip_settings import configuration
from tests.image.standins import STAND_INS, shipped_images

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]


def test_a_build_gets_where_pip_finds_packages_and_no_folder_of_this_machine() -> None:
    told = {
        "index-url": "https://user:word@packages.example/simple",
        "extra-index-url": "file:///srv/simple https://more.example/simple",
        "find-links": "/srv/wheels",
        "trusted-host": "packages.example",
        "require-virtualenv": "true",
        "cert": "/etc/own.pem",
    }
    assert configuration(told, {}).splitlines() == [
        "[global]",
        "index-url = https://user:word@packages.example/simple",
        "extra-index-url = https://more.example/simple",
        "trusted-host = packages.example",
        "cert = /run/secrets/ca.pem",
    ]


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_a_proxy_of_the_environment_counts_unless_pip_has_its_own(name: str) -> None:
    environment = {name: "http://proxy.example:3128"}
    assert "proxy = http://proxy.example:3128" in configuration({}, environment)
    assert "proxy = http://own.example" in configuration({"proxy": "http://own.example"}, environment)


def test_every_image_that_is_fetched_has_a_stand_in() -> None:
    assert set(shipped_images()) == set(STAND_INS)
    assert all(":" in name for name in shipped_images().values()), "by tag"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("arguments", "code"), [((), 3), (("--if-possible",), 0)])
def test_who_is_not_root_is_told_so_in_one_line(arguments: tuple[str, ...], code: int) -> None:
    program = "import os, sys; from tests.image.__main__ import main; os.seteuid(65534); sys.exit(main())"
    done = subprocess.run(
        (sys.executable, "-c", program, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("image-check was not run: ")
    assert "root" in done.stderr
    assert done.stderr.count("\n") == 1
