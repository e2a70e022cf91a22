"""What the README promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_first_sample_of_the_readme_runs_as_it_stands() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    sample = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert sample
    done = subprocess.run([sys.executable, "-c", sample[1]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.match(r"http://localhost:3000/callback\?code=[\w-]+&state=state-1&", done.stdout)
