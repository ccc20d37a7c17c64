"""The files of a data set at Hugging Face: the list comes from the hub, with the size and SHA-256 of each."""

import os
from dataclasses import replace

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError

from patchprobe.datasets.released import HUB_DATASET, Archive, Release, slug
from patchprobe.downloads.addresses import is_offline
from patchprobe.errors import DownloadError, shown

# What data sets are kept in at the hub.
_SUFFIX = ".parquet"


def with_files(release: Release, key: str) -> Release:
    """Return the release of a data set at the hub with its parquet files, at the commit that its revision is now.

    Raises DownloadError naming ``key`` if the hub cannot be asked, does not have it or it has no such file.
    """
    match = HUB_DATASET.fullmatch(release.hub)
    assert match is not None
    repo = match["repo"]
    if is_offline():
        raise DownloadError(
            f"{key}: nothing is fetched because HF_HUB_OFFLINE is set: get the parquet files of {release.hub} elsewhere and put "
            "them into the root of the data set as they lie there"
        )
    api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        info = api.dataset_info(repo, revision=match["revision"], files_metadata=True, timeout=60)
    except Exception as error:  # the client's own errors, those of the library below it, and of the network
        reason = shown(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        if _nothing_refused(error):
            raise DownloadError(
                f"{key}: the hub cannot be asked for {release.hub} ({reason}): see whether this machine reaches it and run again, set "
                "HF_ENDPOINT to another hub, or put the parquet files into the root of the data set as they lie there"
            ) from error
        raise DownloadError(
            f"{key}: the hub does not list {release.hub} ({reason}): correct the name or, if its page asks for it, accept the licence "
            "there and give your token in the environment variable HF_TOKEN"
        ) from error
    files = [file for file in info.siblings or () if file.rfilename.endswith(_SUFFIX)]
    if not files:
        raise DownloadError(
            f"{key}: {release.hub} has no {_SUFFIX} files; take a revision that has, such as refs/convert/parquet"
        )
    revision = str(info.sha).replace("/", "%2F")
    archives = tuple(
        Archive(
            name=slug(f"{repo}/{file.rfilename}"),
            confirmed="the hub's own list",
            addresses=(f"hf://datasets/{repo}@{revision}/{file.rfilename}",),
            bytes=file.size,
            # Git LFS calls a file by its SHA-256.
            digests={"sha256": file.lfs.sha256} if file.lfs else {},
            into=file.rfilename,
            plain=True,
        )
        for file in files
    )
    return replace(release, archives=archives)


def _nothing_refused(error: Exception) -> bool:
    """Tell whether the hub was not reached, or was out of order, so that no name and no token is at fault."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500
    # Of the network; of a name that no data set can have it is a ValueError.
    return not isinstance(error, ValueError)
