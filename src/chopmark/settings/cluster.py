"""Where the work runs: on this machine, or on a cluster of Ray."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["ClusterSettings"]


class ClusterSettings(BaseModel, frozen=True):
    """The engine, and how large its cluster is. See docs/scaling.md."""

    engine: Literal["local", "ray"] = Field(
        default="local",
        description="Who does the work of `chopmark serve`: `local`, processes of this machine, or "
        "`ray`, replicas of Ray Serve. See [scaling.md](scaling.md#ray).",
    )
    ray_address: str = Field(
        default="",
        description="The cluster that `chopmark serve --engine ray` joins: `HOST:6379`, or `auto` "
        "for the one that this machine belongs to. Empty: a cluster of this machine alone.",
    )
    ray_nodes: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Machines that have a site and a set of guards each, at least.",
    )
    ray_nodes_most: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Machines that have them when there is much to do; 0: as many as at least.",
    )
    ray_generators: int = Field(
        default=1, ge=1, le=1000, description="Generators in the cluster, at least."
    )
    ray_generators_most: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Generators when there is much to do; 0: as many as at least.",
    )
    ray_gpus: float = Field(
        default=0.0,
        ge=0,
        le=16,
        description="GPUs that Ray sets aside for each generator; 0: it takes one CPU instead.",
    )
    ray_queue: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Pieces of work that one site has waiting for the guards, and as many for the "
        "generators, before callers get 503.",
    )

    @property
    def most_nodes(self) -> int:
        """Sites, and sets of guards, at most."""
        return max(self.ray_nodes, self.ray_nodes_most)

    @property
    def most_generators(self) -> int:
        """Generators at most."""
        return max(self.ray_generators, self.ray_generators_most)
