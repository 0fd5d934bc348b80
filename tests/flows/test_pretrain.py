"""The pretrain flow with two short stages: the model can be loaded, and a second run trains nothing."""

import json
from pathlib import Path

from agents.engines import base_model
from tests.command import Forked, Maft


def pretrained(home: str) -> None:
    """Run two short stages, and print the numbers of computed and cached steps; runs in a new process."""
    from infra.cli.shared import serve

    serve(Path(home))
    from agents.pretraining.stages import Stage
    from flows.pretrain import pretrain
    from infra.home.cache import served

    stages = [Stage(name="one", tokens=3000, batch_tokens=1024), Stage(name="two", tokens=3000, batch_tokens=1024)]
    trained = pretrain(0, stages)
    print(json.dumps({"sha256": trained.model.sha256, "path": trained.model.path, "served": dict(served)}))


def rebuild(maft: Maft, home: Path) -> dict:
    process = Forked(maft.environment, pretrained, str(home))
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def test_stages_follow_each_other_and_are_cached(maft: Maft, tmp_path: Path) -> None:
    first, again = rebuild(maft, tmp_path), rebuild(maft, tmp_path)
    assert first["served"] == {"computed": 2} and again["served"] == {"cached": 2}
    assert first["sha256"] == again["sha256"]
    model, tokenizer = base_model.load(str(tmp_path / "artifacts" / first["path"]), "cpu")
    assert model.num_parameters() < 1_000_000 and tokenizer.chat_template
