"""A base model whose files are missing, damaged or do not fit is refused in one line, before or while it is loaded.

Run: pytest tests/agents/test_base_files.py
"""

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.engines import base_model
from agents.engines.base_model import EMBEDDED, BaseModelError, identify_bases
from agents.engines.base_model.weights import weight_bytes
from tests.agents.other_bases import EMBEDDING, WEIGHTS, copied, widened


def changed(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **fields}), "utf-8")


def sharded(folder: Path) -> Path:
    """The embedded model in several files of weights."""
    copied(folder)
    (folder / WEIGHTS).unlink()
    AutoModelForCausalLM.from_pretrained(EMBEDDED).save_pretrained(folder, max_shard_size="1MB")
    return folder


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def no_weights(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "other.safetensors")


def cut(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def cut_in_the_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])


def not_safetensors(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**62) + b"{}")


def an_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def empty_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(" \n")


def several_templates(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    templates = [{"name": name, "template": "{{ messages }}"} for name in ("tool_use", "rag")]
    changed(folder / "tokenizer_config.json", chat_template=templates)


def broken_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}")


def token_beyond(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<|beyond {n}|>" for n in range(128)])
    tokenizer.save_pretrained(folder)


def cut_config(folder: Path) -> None:
    (folder / "config.json").write_text((folder / "config.json").read_text()[:50])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (no_config, "has no config.json"),
        (no_tokenizer, r"has no tokenizer \(tokenizer.json\); save"),
        (no_weights, "has no model.safetensors or model.safetensors.index.json"),
        (cut, r"has a model.safetensors of [\d,]+ bytes that should have [\d,]+"),
        (cut_in_the_header, "has a model.safetensors that is cut or is not safetensors"),
        (not_safetensors, "has a model.safetensors that is cut or is not safetensors"),
        (an_adapter, r"has an adapter \(adapter_config.json\) beside the weights; merge"),
        (no_template, "has no chat template"),
        (empty_template, "has an empty chat template"),
        (several_templates, r"has several chat templates \(rag, tool_use\), but none is the default"),
        (broken_template, r"has a chat template that is not valid \(line 1: "),
        (token_beyond, r"has a tokenizer with token id \d+, but embeddings of \d+ tokens"),
        (cut_config, "has a config.json that is not JSON"),
    ],
)
def test_what_files_tell_is_refused_before_anything_is_loaded(
    tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    folder = copied(tmp_path / "base")
    damage(folder)
    with pytest.raises(BaseModelError, match=rf"^base_models: {re.escape(str(folder))} {told}") as error:
        base_model.check(str(folder), "base_models")
    assert "\n" not in str(error.value)


def test_an_index_that_names_a_shard_that_is_not_there(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "base")
    base_model.check(str(folder))
    (folder / "model-00002-of-00004.safetensors").unlink()
    with pytest.raises(BaseModelError, match=r"^base_model: \S+ lacks model-00002-of-00004.safetensors, which"):
        base_model.check(str(folder))
    (folder / "model.safetensors.index.json").write_text('{"weight_map": 3}')
    with pytest.raises(BaseModelError, match=r"has a damaged model.safetensors.index.json"):
        base_model.check(str(folder))


def test_weights_that_lack_layers_are_refused_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = copied(tmp_path / "base")
    weights = load_file(folder / WEIGHTS)
    lost = sorted(name for name in weights if "mlp" in name)
    save_file({name: w for name, w in weights.items() if name not in lost}, folder / WEIGHTS, {"format": "pt"})
    told = rf"^base_model: '{folder}' has weights that lack {lost[0]}, {lost[1]}, {lost[2]} and {len(lost) - 3} more; "
    with pytest.raises(BaseModelError, match=told):
        base_model.load(str(folder), "cpu")
    assert capfd.readouterr() == ("", "")


def test_weights_of_another_shape_are_refused_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = widened(tmp_path / "base")
    changed(folder / "config.json", vocab_size=json.loads((EMBEDDED / "config.json").read_text())["vocab_size"])
    with pytest.raises(BaseModelError, match=f"has weights that have another shape of {EMBEDDING}; "):
        base_model.load(str(folder), "cpu")
    assert capfd.readouterr() == ("", "")


def test_a_whole_model_in_several_files_is_loaded(tmp_path: Path) -> None:
    one, _ = base_model.load("embedded", "cpu")
    several, _ = base_model.load(str(sharded(tmp_path / "base")), "cpu")
    assert all((weight == several.state_dict()[name]).all() for name, weight in one.state_dict().items())


def test_the_bytes_of_weights_are_those_that_they_take(tmp_path: Path) -> None:
    model, _ = base_model.load("embedded", "cpu")
    numbers = sum(weight.numel() for weight in model.parameters())
    for folder in (EMBEDDED, sharded(tmp_path / "base")):
        assert (weight_bytes(folder, 4), weight_bytes(folder, 2)) == (4 * numbers, 2 * numbers)
    assert weight_bytes(EMBEDDED, None) in {4 * numbers, 2 * numbers}


def test_code_counts_in_the_digest_where_it_may_run(tmp_path: Path) -> None:
    folder = copied(tmp_path / "base")
    plain = base_model.digest(str(folder))
    assert base_model.digest(str(folder), trust_remote_code=True) == plain == base_model.digest("embedded")
    (folder / "modeling_own.py").write_text("A = 1\n")
    first = base_model.digest(str(folder), trust_remote_code=True)
    assert base_model.digest(str(folder)) == plain != first
    (folder / "modeling_own.py").write_text("A = 2\n")
    assert base_model.digest(str(folder), trust_remote_code=True) not in {plain, first}


@pytest.mark.parametrize("name", ["nofolder/", "/nowhere", "./nowhere", "nowhere", "a/b/c", "org/na me", "org/name@"])
def test_a_name_that_is_neither_a_folder_nor_a_hub_id(name: str) -> None:
    with pytest.raises(BaseModelError, match=f"^base_model: {name!r} is neither `embedded`, nor a folder that exists"):
        base_model.check(name)


def test_weights_that_do_not_fit_into_memory_are_refused_before_they_are_loaded(tmp_path: Path) -> None:
    folder, size = copied(tmp_path / "base"), 2**42
    header = json.dumps({EMBEDDING: {"dtype": "BF16", "shape": [2**41], "data_offsets": [0, size]}}).encode()
    with (folder / WEIGHTS).open("wb") as file:  # The disk keeps only the header of this file.
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)
    for dtype, needed, remedy in (
        ("auto", "8,796.09 GB (runner.dtype float32)", "set runner.dtype to bfloat16, end other programs"),
        ("bfloat16", "4,398.05 GB (runner.dtype bfloat16)", "set runner.dtype to nf4, end other programs"),
    ):
        with pytest.raises(BaseModelError, match=re.escape(needed)) as error:
            base_model.load(str(folder), "cpu", dtype=dtype)
        assert f"GB are free on cpu; {remedy}, or use a smaller base model" in str(error.value)


def test_a_folder_that_has_changed_since_is_noticed(tmp_path: Path) -> None:
    folder = copied(tmp_path / "base")
    bases = identify_bases(["embedded", str(folder)], False)
    base_model.check_unchanged(bases)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    with pytest.raises(BaseModelError, match=rf"^base_model: '{folder}' has digest \w+, but its society was made with"):
        base_model.check_unchanged(bases)


def test_a_model_with_code_of_its_own_needs_trust(tmp_path: Path) -> None:
    folder = copied(tmp_path / "base")
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    changed(folder / "config.json", model_type="own-model", auto_map=code)
    (folder / "own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own-model'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    with pytest.raises(BaseModelError, match=r"custom code .*; set trust_remote_code to true if you trust it$"):
        base_model.load(str(folder), "cpu")
    assert type(base_model.load(str(folder), "cpu", trust_remote_code=True)[0]).__name__ == "OwnModel"
