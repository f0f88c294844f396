"""The cluster's generators behind the methods of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ray.serve import exceptions as serve_errors

from chopmark.errors import Cancelled, GenerationFailed
from chopmark.workers.ray_calls import answered, ask, busy, gone
from chopmark.workers.ray_pictures import pictures_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.generation import Draft, GenerationJob
    from chopmark.generation.interface import ModelInfo

__all__ = ["RayGenerator"]

_LOAD_S: Final = 1200.0


class RayGenerator:
    """A :class:`~chopmark.generation.Generator` over the replicas of a cluster.

    Jobs that want looks at unfinished pictures, or to be told of each step, are streamed; the
    others are handed to a replica together with what else waits for it.

    Args:
        handle: Ray's handle of the deployment of :class:`chopmark.workers.ray_replicas.Generating`.
        limit_s: Seconds that a job may take.
    """

    def __init__(self, handle: Any, *, limit_s: float) -> None:
        self._handle, self._limit_s = handle, limit_s
        self._info: ModelInfo | None = None

    @property
    def info(self) -> ModelInfo:
        """What is known about the model; waits until one replica has loaded it."""
        if self._info is None:
            self._info = ask(self._handle, "info", what="loading the model", limit_s=_LOAD_S)
        return self._info

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``; see :meth:`chopmark.generation.Generator.generate`.

        Raises:
            Busy: Too many wait for the generators already.
            GenerationFailed: The replica ended while it showed unfinished pictures.
        """
        if job.drafts and draft is not None:
            return self._streamed(job, progress, cancelled, draft)
        return self._together(job, progress, cancelled)

    def _together(
        self,
        job: GenerationJob,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> list[Image.Image]:
        made = ask(
            self._handle,
            "generate",
            job,
            what="making the pictures",
            limit_s=self._limit_s,
            cancelled=cancelled,
        )
        if progress is not None:
            steps = job.steps or self.info.default_steps
            progress(steps, steps)
        return pictures_of(made)

    def _streamed(
        self,
        job: GenerationJob,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
        draft: Callable[[Draft], None],
    ) -> list[Image.Image]:
        news = self._handle.options(stream=True).show.remote(job)
        done = False
        try:
            for one in news:
                kind, value = answered(one)
                if cancelled is not None and cancelled():
                    raise Cancelled("nobody waits for the picture any more")
                match kind:
                    case "step":
                        if progress is not None:
                            progress(*value)
                    case "draft":
                        draft(value)
                    case _:
                        done = True
                        return pictures_of(value)
        except serve_errors.BackPressureError:
            raise busy("the generators") from None
        except gone as error:
            # Looks that were shown are booked: another replica would show them again.
            raise GenerationFailed("the generator's machine is gone", hint="try again") from error
        finally:
            if not done:
                news.cancel()
        raise GenerationFailed("the generator stopped without a picture", hint="try again")

    def close(self) -> None:
        """Do nothing: the replicas are the cluster's."""
