"""Adapters that the registry has and this home perhaps lacks: it was pruned, or is another than they were made in."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.errors import UserError
from infra.registry import ADAPTER_FILES
from infra.store import Store


def fetch_adapter(store: Store, name: str, version: str, sha256: str) -> None:
    """Put the adapter of a registered agent into the store, unless it is there whole.

    Args:
        store: of the home.
        name: of the registered model, such as arith-critic-0.
        version: of it.
        sha256: digest of the adapter's folder, by which agents refer to it.

    Raises:
        UserError: what the registry has is not that adapter.
    """
    if store.whole_folder(sha256):
        return
    from mlflow.artifacts import download_artifacts

    with TemporaryDirectory() as folder:
        fetched = Path(download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=folder))

        def write(target: Path) -> None:
            for file in ADAPTER_FILES:
                shutil.copyfile(fetched / file, target / file)

        found = store.put_folder(write, 0).sha256
    if found != sha256:
        raise UserError(
            f"models:/{name}/{version} holds an adapter with digest {found[:12]}, but its society was registered with "
            f"{sha256[:12]}; start from another version"
        )
