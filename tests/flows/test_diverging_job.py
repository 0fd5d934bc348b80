"""A job whose training diverges ends with an error, and registers nothing."""

from pathlib import Path

from mlflow import MlflowClient

from tests.conftest import Maft


def test_no_generation_is_made_of_a_training_that_diverged(maft: Maft, brief: list[str], tmp_path: Path) -> None:
    settings = ["society=diverges", "iterations=1", "finetune.min_votes=1", "finetune.rank=2"]
    settings += ["finetune.learning_rate=1.0", "finetune.alpha=1.0e+25"]
    own = [part for value in settings for part in ("--set", value)]
    refused = maft("run", *brief, *own, "--home", str(tmp_path / "home"), status=2)
    lines = [line for line in refused.stderr.splitlines() if ": the training diverged at optimizer step " in line]
    assert lines and all(line.startswith("maft: ") for line in lines), "it is said once"
    assert all("finetune.learning_rate below 1, or finetune.on_divergence to halve" in line for line in lines)
    assert "Traceback" not in refused.stderr and refused.stdout == ""
    client = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"])
    assert not client.search_registered_models("name LIKE 'diverges%'")
    assert not list((tmp_path / "home").rglob("adapter_model.safetensors"))
