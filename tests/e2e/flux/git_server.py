"""Serves a Git repository on the loopback: `python -m tests.e2e.flux.git_server PORT FOLDER`."""

from __future__ import annotations

import sys
from wsgiref.simple_server import make_server

from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from dulwich.web import make_wsgi_chain


class UploadPack(UploadPackHandler):
    """For Flux's Git client, go-git, which takes no thin packs, and need not."""

    @classmethod
    def required_capabilities(cls) -> tuple[bytes, ...]:
        """What every client must know."""
        return tuple(each for each in super().required_capabilities() if each != b"thin-pack")


if __name__ == "__main__":
    port, folder = sys.argv[1:]
    repositories: dict[str, BackendRepo] = {"/": Repo(folder)}
    application = make_wsgi_chain(DictBackend(repositories), handlers={b"git-upload-pack": UploadPack})
    make_server("127.0.0.1", int(port), application).serve_forever()
