"""Typed errors: each says what went wrong, where, and one thing to do about it."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SOME_SLIDES_FAILED = 3
EXIT_INTERRUPTED = 130


class GigakitError(Exception):
    """Base of every error a user can meet; printed as one line, without a traceback.

    Args:
        what: what was found and why it cannot be used.
        where: the file, ``file:line`` or config key concerned.
        fix: one thing to do about it.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where is not None else self.what
        return f"{text}; {self.fix}" if self.fix else text

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments do not survive the default pickling between worker processes
        return _rebuild, (type(self), self.what, self.where, self.fix)


def _rebuild(kind: type[GigakitError], what: str, where: object, fix: str | None) -> GigakitError:
    return kind(what, where=where, fix=fix)


class ConfigError(GigakitError):
    """A config, an override or a command's argument cannot be used."""

    exit_code = EXIT_USAGE


class ComponentError(ConfigError):
    """A component is not registered, or cannot be imported or built."""


class WorkDirError(ConfigError):
    """A work directory is in use, or holds another run."""


class SlideError(GigakitError):
    """One slide cannot be processed; other slides are not concerned."""


class UnreadableSlideError(SlideError):
    """A slide is missing, is no slide, or is damaged."""


class UnsuitedSlideError(UnreadableSlideError):
    """A slide that one reader leaves to another."""


class DamagedRegionError(UnreadableSlideError):
    """A region of a slide is damaged; the rest of the slide can still be read."""


class MissingMppError(SlideError):
    """A slide does not tell its resolution in µm/px."""


class NoTissueError(SlideError):
    """No tile of a slide holds enough tissue."""


class SomeSlidesFailedError(GigakitError):
    """Part of a cohort failed; what finished is kept."""

    exit_code = EXIT_SOME_SLIDES_FAILED


class StorageFullError(GigakitError):
    """The disk or the quota of a store is used up."""


class StoreError(GigakitError):
    """A tile or feature file is damaged, or belongs to other settings."""


class SampleError(GigakitError):
    """The sample slide cannot be obtained."""


class CheckpointError(GigakitError):
    """A checkpoint or weight file is damaged, unsafe, or does not fit the model."""


class NonFiniteGradientError(GigakitError):
    """Training diverged: several steps in a row had a non-finite loss or gradient."""


class OtherProcessError(GigakitError):
    """Another process of the run failed and reports why; this one ends in silence."""


class BackendUnavailableError(ConfigError):
    """An attention backend named in the config cannot run here."""


class InterruptedRunError(GigakitError):
    """A run was asked to stop by a signal, and wrote its checkpoint."""

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        fix: str | None = None,
        exit_code: int = EXIT_INTERRUPTED,
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.exit_code = exit_code
