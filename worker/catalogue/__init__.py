"""The vector index: one protocol, two engines (Qdrant server, embedded Qdrant Edge)."""

from worker.catalogue.grouping import ArticleHit, group_by_article
from worker.catalogue.live import ensure_live_catalogue, open_catalogue_admin
from worker.catalogue.naming import collection_name
from worker.catalogue.protocol import Catalogue, CatalogueAdmin, CatalogueStats, Hit, Point, PointState, Query

__all__ = [
    "ArticleHit",
    "Catalogue",
    "CatalogueAdmin",
    "CatalogueStats",
    "Hit",
    "Point",
    "PointState",
    "Query",
    "collection_name",
    "ensure_live_catalogue",
    "group_by_article",
    "open_catalogue_admin",
]
