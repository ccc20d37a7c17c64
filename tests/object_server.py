"""A server that speaks S3, rclone's, started by tests; what is put there are files in a folder, so tests see and change them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL")
BUCKET, KEY, SECRET = "bucket", "AKIATESTS", "not-a-secret-but-forty-characters-long-00"


class ObjectServer:
    """The server with the objects of ``folder``; it can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        beside = Path(sys.executable).with_name("rclone")
        program = str(beside) if beside.exists() else shutil.which("rclone")
        if program is None:
            pytest.fail("there is no rclone, whose server the tests use: make env installs it on Linux")
        self._program, self._root, self._port = program, folder, 0
        (folder / BUCKET).mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[str] | None = None

    @property
    def bucket(self) -> Path:
        """The folder whose files are the objects of the bucket."""
        return self._root / BUCKET

    @property
    def environment(self) -> dict[str, str]:
        """What users set to use the server."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the test and what it starts use the server, and no other."""
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def objects(self) -> dict[str, bytes]:
        """All objects of the bucket, by name."""
        files = sorted(path for path in self.bucket.rglob("*") if path.is_file())
        return {path.relative_to(self.bucket).as_posix(): path.read_bytes() for path in files}

    def start(self) -> None:
        command = [self._program, "serve", "s3", "--addr", f"127.0.0.1:{self._port}", "--auth-key", f"{KEY},{SECRET}"]
        self._process = subprocess.Popen(
            [*command, "--vfs-cache-mode", "off", str(self._root)],
            env=os.environ | {"RCLONE_CONFIG": os.devnull},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if match := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self._port = int(match[1])
                return
        raise AssertionError("the server ended before it answered")

    def stop(self) -> None:
        """End it at once, in the middle of what it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def look_again(self) -> None:
        """Let it see what was changed in the folder behind its back, by another start: it tells nobody when it has looked."""
        self.stop()
        self.start()

    def clear(self) -> None:
        """Delete all objects."""
        self.stop()
        shutil.rmtree(self.bucket)
        self.bucket.mkdir()
        self.start()

    def __enter__(self) -> "ObjectServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
