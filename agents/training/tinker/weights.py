"""The weights of a trained adapter, if the service hands them out, and the check that they are those that it serves."""

import io
import json
import logging
import tarfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from agents.engines.base_model import BaseModelError
from agents.engines.base_model.files import folder_of
from agents.engines.base_model.record import FilesError
from agents.engines.base_model.weights import weight_files
from agents.engines.tinker.service import connect, shown
from agents.hosted.adapter import CONFIG, WEIGHTS
from agents.hosted.reading import read_once
from agents.training.examples import Encoded
from agents.training.learner import write_files

if TYPE_CHECKING:
    from agents.run import Run
    from agents.training.tinker.training import ServiceTraining

log = logging.getLogger("maft.training")

MOST_BYTES = 2**31
"""Largest archive, and largest file in one, that is read."""
MOST_NATS = 0.03
"""Most nats per token that fetched weights may be from the served ones."""
MOST_EXAMPLES = 8
"""Examples of the agent's own dataset on which they are compared."""


def checked_weights(run: "Run", training: "ServiceTraining", path: str) -> tuple[dict[str, bytes] | None, float | None]:
    """The files of a PEFT adapter that gives the served likelihoods, and how far it is from them in nats per token.

    Args:
        run: the base models and the store.
        training: the finished training; its own examples are read.
        path: the service's name of the weights.

    Returns:
        (None, None) if the base's weights are not here, the service does not hand out weights, or they are others than
        it serves; the last is warned of.
    """
    if not _base_is_here(training.engine.base.source):
        return None, None
    try:
        archive = _archive(training, path)
        files = peft_files(archive, training.engine.model) if archive else None
    except (httpx.HTTPError, tarfile.TarError, ValueError, KeyError) as error:
        log.warning("%s: its weights cannot be fetched: %s", training.learner.name, shown(error))
        return None, None
    if files is None:
        return None, None
    apart = _apart(run, training, files, path)
    if apart > MOST_NATS:
        log.warning(
            "%s: the weights that the service hands out are %.2f nats per token from those that it serves, so they are "
            "not kept; the agent speaks through the service alone",
            training.learner.name,
            apart,
        )
        return None, None
    return files, apart


def _base_is_here(source: str) -> bool:
    try:
        weight_files(folder_of(source, weights=False))
    except (FilesError, BaseModelError):
        return False
    return True


def _archive(training: "ServiceTraining", path: str) -> bytes | None:
    """The archive of the weights; None if the service has none."""
    import tinker

    settings = training.engine.settings
    rest: Any = connect(settings).create_rest_client()
    training_run, _, name = path.removeprefix("tinker://").partition("/")
    name = name.removeprefix("sampler_weights/")
    for checkpoint in (f"sampler_weights/{name}", name):  # Tinker's name of it, and SkyRL's.
        try:
            url = rest.get_checkpoint_archive_url(training_run, checkpoint).result(settings.patience_seconds).url
            break
        except tinker.NotFoundError as error:
            reason = error
    else:
        log.info("%s: the service does not hand out its weights: %s", training.learner.name, shown(reason))
        return None
    content = bytearray()
    with httpx.stream("GET", url, timeout=settings.patience_seconds, trust_env=False) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise ValueError(f"the archive is longer than {MOST_BYTES} bytes")
    return bytes(content)


def peft_files(archive: bytes, base: str) -> dict[str, bytes]:
    """The files of a PEFT adapter from an archive of one.

    The layers and the rank are read off the weights: an archive may leave them out of its config, and PEFT would then
    load the layers that it adapts by default, and no others.

    Args:
        archive: a tar, packed or not, with a config and the weights.
        base: the name of the base, for the config.

    Raises:
        ValueError: a file is missing or too long, or the weights are no LoRA weights.
    """
    from safetensors.numpy import load

    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for member in packed:
            name = member.name.rpartition("/")[2]
            if name in {CONFIG, WEIGHTS} and (content := packed.extractfile(member)):
                if member.size > MOST_BYTES:
                    raise ValueError(f"{name} is longer than {MOST_BYTES} bytes")
                found[name] = content.read()
    if set(found) != {CONFIG, WEIGHTS}:
        raise ValueError(f"the archive has no {CONFIG} with {WEIGHTS}")
    tensors = load(found[WEIGHTS])
    down = {name: value for name, value in tensors.items() if ".lora_A." in name}
    if not down:
        raise ValueError("the weights are not those of a LoRA adapter")
    given = json.loads(found[CONFIG])
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "inference_mode": True,
        "base_model_name_or_path": base,
        "r": int(min(next(iter(down.values())).shape)),
        "lora_alpha": given["lora_alpha"],
        "target_modules": sorted({name.partition(".lora_A.")[0].rpartition(".")[2] for name in down}),
    }
    return {CONFIG: json.dumps(config, indent=2, sort_keys=True).encode(), WEIGHTS: found[WEIGHTS]}


def _apart(run: "Run", training: "ServiceTraining", files: Mapping[str, bytes], path: str) -> float:
    """Mean distance, in nats per token, of the two likelihoods of the agent's first examples."""
    import torch

    from agents.engines.transformers.engine import speaking_as
    from agents.engines.transformers.resident import TURN, resident

    rows = training.plan.examples[:MOST_EXAMPLES]
    engine = training.engine
    served = read_once(
        partial(engine.likelihoods, engine.speaker_at(path)),
        [(row.prompt, row.target) for row in rows],
        reader=path,
        settings=engine.settings,
        journal=training.journal,
        on_progress=lambda done, total: None,
    )
    with TemporaryDirectory() as folder, TURN:  # Other agents may be trained in this process.
        write_files(files, Path(folder))
        model: Any = resident(run.bases, run.runner, run.store.folders).of(run.bases.each.index(engine.base)).model
        with speaking_as(model, Path(folder)), torch.inference_mode():
            here = [_nll(model, row) for row in rows]
    return float(np.abs(np.array(here) - np.array(served)).sum() / sum(len(row.target) for row in rows))


def _nll(model: Any, row: Encoded) -> float:
    """-ln of the likelihood of the target of a row, in nats."""
    import torch

    ids = torch.tensor([row.prompt + row.target], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(row.prompt) - 1 : -1].double()
    learned = ids[0, len(row.prompt) :]
    return float(torch.nn.functional.cross_entropy(logits, learned, reduction="sum"))
