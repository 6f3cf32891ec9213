"""Requests: how many recordings are worked on alike, and the job specifications that they give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meetsplit.jobs.discovery import FoundRecording, Patterns, refusal
from meetsplit.jobs.file_index import FileIndex
from meetsplit.jobs.job import CompletionActions, JobSpec
from meetsplit.pipeline.errors import AudioError, MeetsplitError
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.stems import claimed_names, unique_stems
from meetsplit.pipeline.settings import Outputs, Settings


@dataclass(frozen=True, slots=True)
class Request:
    """How recordings are worked on: settings with absolute paths, ``outputs`` with the folder that all results go
    to.
    """

    settings: Settings
    outputs: Outputs
    priority: int = 10
    on_completion: CompletionActions = field(default_factory=CompletionActions)
    patterns: Patterns = field(default_factory=Patterns)

    def job(self, recording: FoundRecording, content: str, stem: str) -> JobSpec:
        """The job for one recording; results of a subfolder's recordings go to a subfolder of the same name."""
        outputs = dataclasses.replace(self.outputs, folder=self.outputs.folder / recording.subfolder)
        return JobSpec(
            recording.path,
            content,
            self.settings,
            outputs,
            self.outputs.folder,
            stem,
            self.priority,
            self.on_completion,
        )

    def to_json(self) -> dict[str, Any]:
        """The request for the database: a job without a recording, and the patterns."""
        patterns = {
            "include": list(self.patterns.include),
            "exclude": list(self.patterns.exclude),
            "apart": [str(folder) for folder in self.patterns.apart],
        }
        return {"order": self.job(FoundRecording(Path("nothing")), "", "").to_json(), "patterns": patterns}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Request:
        """The request that `to_json` gave. Raises `JobError`."""
        job, patterns = JobSpec.from_json(row["order"]), row["patterns"]
        return cls(
            job.settings,
            job.outputs,
            job.priority,
            job.on_completion,
            Patterns(
                tuple(patterns["include"]),
                tuple(patterns["exclude"]),
                tuple(Path(folder) for folder in patterns["apart"]),
            ),
        )


@dataclass(frozen=True, slots=True)
class BuiltJobs:
    """Job specifications, and for each recording that gave none the reason."""

    jobs: tuple[JobSpec, ...]
    refused: tuple[tuple[Path, MeetsplitError], ...]


def build_jobs(recordings: Iterable[FoundRecording], request: Request, index: FileIndex) -> BuiltJobs:
    """A job for every recording that can be read, with the stem that its results have or will have in their folder.

    Whatever is wrong with one file refuses that file and no other. Raises `OutputError` where the results folder
    cannot be written.
    """
    jobs: list[JobSpec] = []
    refused: list[tuple[Path, MeetsplitError]] = []
    by_subfolder: dict[Path, list[FoundRecording]] = {}
    for recording in recordings:
        problem = refusal(recording.path)
        if problem is None:
            by_subfolder.setdefault(recording.subfolder, []).append(recording)
        else:
            refused.append((recording.path, problem))
    for subfolder, group in by_subfolder.items():
        checksums: dict[FoundRecording, str] = {}
        for recording in group:
            try:
                checksums[recording] = index.checksum(recording.path)
            except MeetsplitError as error:
                refused.append((recording.path, error))
            except _FILE_FAULTS as error:
                refused.append((recording.path, _cannot_be_queued(recording.path, error)))
        stems = unique_stems([recording.path for recording in checksums])
        unnamed = [request.job(recording, checksum, stems[recording.path]) for recording, checksum in checksums.items()]
        for job in _with_reserved_stems(unnamed, request.outputs.folder / subfolder, stems):
            if isinstance(job, JobSpec):
                jobs.append(job)
            else:
                refused.append(job)
    index.save()
    return BuiltJobs(tuple(jobs), tuple(refused))


def _with_reserved_stems(
    jobs: list[JobSpec], folder: Path, stems: Mapping[Path, str]
) -> list[JobSpec | tuple[Path, MeetsplitError]]:
    """The jobs with the stems reserved for their results in ``folder``; for one that gets none, its recording and
    why.
    """
    if not jobs:
        return []
    peers, recordings = claimed_names(stems.values()), tuple(stems)
    requests = [
        dataclasses.replace(job.result_request(), peers=peers, inputs=(*job.inputs, *recordings)) for job in jobs
    ]
    named: list[JobSpec | tuple[Path, MeetsplitError]] = []
    for job, placement in zip(jobs, ResultsFolder(folder).reserve(requests), strict=True):
        if isinstance(placement, MeetsplitError):
            named.append((job.recording, placement))
        else:
            named.append(dataclasses.replace(job, stem=placement.stem))
    return named


_FILE_FAULTS = (OSError, ValueError, RuntimeError)
"""What a single odd name or file may raise in places that did not expect it."""


def _cannot_be_queued(path: Path, error: Exception) -> MeetsplitError:
    return AudioError(f"{shown(str(path))}: cannot be queued: {getattr(error, 'strerror', None) or error}")
