"""The distribution, as a service installs it."""

import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[4] / "clients/python"


def test_the_wheel_has_all_of_the_client_and_its_types(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(SOURCE, source)  # building leaves folders behind
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    # With the setuptools that is here, and without what it depends on: nothing comes from the network.
    subprocess.run(
        [*pip, "--no-build-isolation", "--no-deps", "--no-index", "--target", site, source], check=True
    )
    package = SOURCE / "src/postroom_client"
    wanted = {file.name for file in package.iterdir() if file.suffix in (".py", ".typed")}
    assert wanted <= {file.name for file in (site / "postroom_client").iterdir()}
    used = subprocess.run(
        [sys.executable, "-c", "import postroom_client; print(postroom_client.__file__)"],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(used.stdout.strip()).is_relative_to(site)
