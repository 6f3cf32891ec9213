"""Downloads of weights: the Hugging Face hub and openai-whisper's own files.

The remedy of a failed download depends on its reason, so every reason has its own sentence.
"""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import importlib
import importlib.util
import os
import pickle
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

from meetsplit.pipeline.errors import MissingDependency, MissingWeights, nearest
from meetsplit.pipeline.events import EventListener, Progressed
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.files.user_folders import user_folder
from meetsplit.pipeline.models import checksums
from meetsplit.pipeline.models.checkpoints import read_checkpoint
from meetsplit.pipeline.models.sources import OPENUNMIX_MODELS, TORCHAUDIO_MODELS, Hub

_BLOCK = 1 << 20


def locate_in_hub_cache(source: Hub) -> Path | None:
    """The newest whole copy in the Hugging Face cache; None where a needed file is missing or damaged."""
    folder = _snapshot(source)
    if folder is None or damaged_hub_files(source):
        return None
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    patterns = source.patterns or ("*",)
    is_whole = all(any(fnmatch.fnmatch(name, pattern) for name in names) for pattern in patterns)
    is_broken_off = source.patterns is None and any((folder.parent.parent / "blobs").glob("*.incomplete"))
    return folder if is_whole and not is_broken_off else None


def damaged_hub_files(source: Hub) -> list[Path]:
    """Needed files of the newest copy in the Hugging Face cache that are missing or have another checksum."""
    folder = _snapshot(source)
    if folder is None:
        return []
    patterns = source.patterns or ("*",)

    def is_needed(path: Path) -> bool:
        name = path.relative_to(folder).as_posix()
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file()]
    return [path for path in paths if is_needed(path) and not checksums.intact_blob(path)]


def _snapshot(source: Hub) -> Path | None:
    """The folder of the newest copy in the Hugging Face cache, whole or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source.repo_id, revision=source.revision, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError, OSError):
        return None


def fetch_hub(source: Hub, *, stage: str, token: str | None, on_event: EventListener, alternative: str | None) -> Path:
    """Fetch a repository into the Hugging Face cache, damaged files again; `hub_access_problem` comes before.

    ``alternative`` is the option that does without it. Raises `MissingWeights` with the reason.
    """
    from huggingface_hub import snapshot_download

    try:
        for path in damaged_hub_files(source):
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        folder = snapshot_download(
            source.repo_id,
            revision=source.revision,
            token=token,
            allow_patterns=list(source.patterns) if source.patterns else None,
            tqdm_class=_progress_bar(on_event),
        )
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingWeights(
            stage, f"{source.repo_id} could not be fetched from {_endpoint()}: {reason}", alternative
        ) from error
    return Path(folder)


def token_origin(token: str | None) -> str | None:
    """Where a token for the hub is known from, never the token: these settings, or huggingface_hub's own file; None
    where there is none.
    """
    from huggingface_hub import constants, get_token

    if token:
        return "--hf-token or HF_TOKEN"
    return constants.HF_TOKEN_PATH if get_token() else None


def hub_access_problem(source: Hub, token: str | None, timeout: float) -> str | None:
    """Why this repository cannot be fetched now, in a sentence with the next step; None where the hub grants access."""
    from huggingface_hub import get_token

    token = token or get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = _request(f"{_endpoint()}/api/models/{source.repo_id}/auth-check", timeout, headers)
    page, tokens = f"{_endpoint()}/{source.repo_id}", f"{_endpoint()}/settings/tokens"
    if answer is None:
        problem = f"{source.repo_id} is not on this machine and {_endpoint()} does not answer"
        token_advice = "" if token else f", make a token at {tokens} and give it as --hf-token or HF_TOKEN"
        conditions = f"; once it does, accept the conditions at {page}{token_advice}" if source.gated else ""
        return problem + conditions
    status, reason = answer
    if status < 400:
        return None
    if reason == "GatedRepo" and token and status == 403:
        return (
            f"{source.repo_id}: the account of this token has not accepted the conditions; "
            f"open {page}, accept, and try again"
        )
    if status == 401 and token:
        return (
            f"{source.repo_id}: the hub does not know this token; "
            f"make one at {tokens} and give it as --hf-token or HF_TOKEN"
        )
    if reason == "GatedRepo" or (source.gated and status in (401, 403)):
        return (
            f"{source.repo_id} asks to accept its conditions once: open {page} and accept, make a token at {tokens}, "
            "and give it as --hf-token or HF_TOKEN"
        )
    if status in (401, 403, 404):
        return (
            f"{source.repo_id}: {_endpoint()} has no such public repository; "
            "check the name, or give a token if it is private"
        )
    return f"{source.repo_id}: {_endpoint()} answers with error {status}; try again later"


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _progress_bar(on_event: EventListener) -> type[Any]:
    """A tqdm class that draws nothing and sends `Progressed` in MB.

    The hub opens one per file and one over the files.
    """
    tqdm: Any = importlib.import_module("tqdm.auto").tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.in_bytes = kwargs.get("unit") == "B"
            self.done = 0.0
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.done += n or 0.0
            if self.in_bytes:
                on_event(Progressed("fetch", self.done / 1e6, self.total / 1e6 if self.total else None))

    return Bar


def whisper_models() -> dict[str, str]:
    """The address of each of openai-whisper's models by name, read from its source: importing it would load torch."""
    spec = importlib.util.find_spec("whisper")
    if spec is None or spec.origin is None:
        raise MissingDependency(
            "transcribe", "Whisper models need the Python package openai-whisper: pip install openai-whisper"
        )
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(name, ast.Name) and name.id == "_MODELS" for name in node.targets
        ):
            return dict(ast.literal_eval(node.value))
    raise MissingDependency("transcribe", "this openai-whisper lists no models: pip install --upgrade openai-whisper")


def whisper_languages() -> dict[str, str]:
    """The code of each language that Whisper knows, by code and by English name, read from its source."""
    spec = importlib.util.find_spec("whisper")
    if spec is None or spec.origin is None:
        return {}
    codes: dict[str, str] = {}
    for node in ast.parse((Path(spec.origin).parent / "tokenizer.py").read_text("utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="LANGUAGES")], value=ast.Dict() as languages):
                codes |= {name: code for code, name in ast.literal_eval(languages).items()}
            case ast.Assign(targets=[ast.Name(id="TO_LANGUAGE_CODE")], value=ast.Dict(keys=keys, values=values)):
                for key, value in zip(keys, values, strict=True):
                    match key, value:
                        case ast.Constant(value=str() as name), ast.Constant(value=str() as code):
                            codes[name] = code
    return {**{code: code for code in codes.values()}, **codes}


def whisper_path(name: str, folder: Path | None = None) -> Path:
    """The file of the model of this name in ``folder``, by default where whisper keeps its models.

    Raises `MissingWeights` for a name that it does not have.
    """
    models = whisper_models()
    if name not in models:
        raise MissingWeights("transcribe", f"--model {name}: {nearest(name, models)}; or a path to a .pt file")
    return (folder or user_folder("cache") / "whisper") / Path(models[name]).name


def whisper_sha256(name: str) -> str:
    """The checksum of one of whisper's models, which its address holds."""
    return whisper_models()[name].split("/")[-2]


def is_whole_archive(path: Path) -> bool:
    """Whether a checkpoint is a zip archive with its index, which stands at the end: a truncated file has none."""
    return path.is_file() and zipfile.is_zipfile(path)


def fetch_whisper(
    name: str, folder: Path | None = None, *, stage: str, on_event: EventListener, alternative: str | None
) -> Path:
    """Download one of whisper's models into ``folder``, or to where whisper looks for it, and verify its SHA-256.

    ``alternative`` is the option that does without it. Raises `MissingWeights`.
    """
    target = whisper_path(name, folder)
    address = whisper_models()[name]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent, ".fetching-") as folder:
            download = folder / target.name
            if _download(address, download, on_event) != whisper_sha256(name):
                raise MissingWeights(
                    stage,
                    f"openai-whisper {name}: the download is damaged (wrong checksum); nothing was kept, try again",
                )
            download.replace(target)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise MissingWeights(
            stage, f"openai-whisper {name} could not be fetched from {address}: {reason}", alternative
        ) from error
    return target


def torchaudio_path(name: str) -> Path:
    """The file of torchaudio's model of this name in the cache of torch.hub, which ``TORCH_HOME`` moves."""
    return _torch_hub_path(TORCHAUDIO_MODELS[name].address)


def openunmix_path(name: str) -> Path:
    """The file of Open-Unmix's model of this name, there as well."""
    return _torch_hub_path(OPENUNMIX_MODELS[name])


def _torch_hub_path(address: str) -> Path:
    home = os.environ.get("TORCH_HOME")
    folder = Path(home).expanduser() if home else user_folder("cache") / "torch"
    return folder / "hub" / "checkpoints" / Path(address).name


def fetch_torchaudio(name: str, *, stage: str, on_event: EventListener) -> Path:
    """Download one of torchaudio's models to where torchaudio looks for it; raises `MissingWeights`.

    Nobody publishes their checksums: it is kept if it is a whole archive.
    """
    target, address = torchaudio_path(name), TORCHAUDIO_MODELS[name].address
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent, ".fetching-") as folder:
            download = folder / target.name
            _download(address, download, on_event)
            if not is_whole_archive(download):
                raise MissingWeights(
                    stage, f"torchaudio {name}: the download is not whole; nothing was kept, try again"
                )
            download.replace(target)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise MissingWeights(stage, f"torchaudio {name} could not be fetched from {address}: {reason}") from error
    return target


def fetch_openunmix(name: str, *, stage: str, on_event: EventListener, alternative: str | None) -> Path:
    """Download one of Open-Unmix's models to where the package openunmix looks for it; raises `MissingWeights`.

    Nobody publishes their checksums: it is kept if it is a checkpoint that can be read as data.
    """
    target, address = openunmix_path(name), OPENUNMIX_MODELS[name]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent, ".fetching-") as folder:
            download = folder / target.name
            _download(address, download, on_event)
            read_checkpoint(download)
            download.replace(target)
    except (pickle.UnpicklingError, EOFError, zipfile.BadZipFile) as error:
        raise MissingWeights(
            stage, f"Open-Unmix {name}: the download is not whole; nothing was kept, try again", alternative
        ) from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise MissingWeights(
            stage, f"Open-Unmix {name} could not be fetched from {address}: {reason}", alternative
        ) from error
    return target


def openunmix_reachable(name: str, timeout: float) -> bool:
    """Whether the server of Open-Unmix's model answers."""
    answer = _request(OPENUNMIX_MODELS[name], timeout, method="HEAD")
    return answer is not None and answer[0] < 400


def torchaudio_reachable(name: str, timeout: float) -> bool:
    """Whether the server of torchaudio's model answers."""
    answer = _request(TORCHAUDIO_MODELS[name].address, timeout, method="HEAD")
    return answer is not None and answer[0] < 400


def whisper_reachable(name: str, timeout: float) -> bool:
    """Whether the server of whisper's models answers."""
    answer = _request(whisper_models().get(name, ""), timeout, method="HEAD")
    return answer is not None and answer[0] < 400


def _download(address: str, target: Path, on_event: EventListener) -> str:
    """Copy the file at ``address`` to ``target``, with progress in MB; returns its SHA-256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(address, timeout=15.0) as answer, target.open("wb") as file:
        total, done = int(answer.headers.get("Content-Length") or 0), 0
        while block := answer.read(_BLOCK):
            file.write(block)
            digest.update(block)
            done += len(block)
            on_event(Progressed("fetch", done / 1e6, total / 1e6 if total else None))
    return digest.hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but carries a token only as far as its own server: same scheme, same host, same port."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        if redirected is not None and _origin(newurl) != _origin(req.full_url):
            redirected.remove_header("Authorization")
        return redirected


def _origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address; the default port of the scheme where none is given.

    >>> _origin("https://Hub.example/x") == _origin("https://hub.example:443/y")
    True
    """
    parts = urllib.parse.urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _request(
    address: str, timeout: float, headers: dict[str, str] | None = None, *, method: str = "GET"
) -> tuple[int, str] | None:
    """Status and the hub's error code of one request; None without an answer in time, the look-up of the host included.

    It runs in a thread of its own: the look-up of a host's address knows no timeout.
    """
    answers: list[tuple[int, str]] = []

    def send() -> None:
        try:
            request = urllib.request.Request(address, headers=headers or {}, method=method)
            with urllib.request.build_opener(_Redirects).open(request, timeout=timeout) as answer:
                answers.append((answer.status, ""))
        except urllib.error.HTTPError as error:
            answers.append((error.code, error.headers.get("X-Error-Code", "")))
            error.close()
        except (OSError, ValueError):
            return

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(timeout)
    return answers[0] if answers else None
