"""Pairs prepared for training: latents, texts and maps in a folder of shards that a run reads and never writes."""

from zeroconv.data.prepared.engines import ENGINES, Engine, default_workers
from zeroconv.data.prepared.manifest import is_prepared
from zeroconv.data.prepared.preparation import Prepared, prepare
from zeroconv.data.prepared.progress import Progressed
from zeroconv.data.prepared.reader import PreparedCache
from zeroconv.data.prepared.stored_views import ViewSettings
from zeroconv.data.prepared.verify import Verified, verify

__all__ = [
    "ENGINES",
    "Engine",
    "Prepared",
    "PreparedCache",
    "Progressed",
    "Verified",
    "ViewSettings",
    "default_workers",
    "is_prepared",
    "prepare",
    "verify",
]
