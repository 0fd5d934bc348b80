"""The pretrain flow on two short stages: a model that loads, and nothing trained twice."""

import json
import subprocess
import sys
from pathlib import Path

from agents.engines import base_model
from tests.conftest import ROOT, Maft

SCRIPT = """
import json, sys
from pathlib import Path
from infra.cli.shared import serve
serve(Path(sys.argv[1]))
from agents.pretraining.train import Stage
from flows.pretrain import pretrain
from infra.home.cache import served
stages = [Stage(name="one", tokens=3000, batch_tokens=1024), Stage(name="two", tokens=3000, batch_tokens=1024)]
trained = pretrain(0, stages)
print(json.dumps({"sha256": trained.model.sha256, "path": trained.model.path, "served": dict(served)}))
"""


def rebuild(maft: Maft, home: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home)],
        env=maft.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_stages_follow_each_other_and_are_cached(maft: Maft, tmp_path: Path) -> None:
    first, again = rebuild(maft, tmp_path), rebuild(maft, tmp_path)
    assert first["served"] == {"computed": 2} and again["served"] == {"cached": 2}
    assert first["sha256"] == again["sha256"]
    model, tokenizer = base_model.load(str(tmp_path / "artifacts" / first["path"]), "cpu")
    assert model.num_parameters() < 1_000_000 and tokenizer.chat_template
