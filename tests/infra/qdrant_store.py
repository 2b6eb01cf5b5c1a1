"""What the stand-in Qdrant server keeps and answers: collections in Qdrant Edge shards, and the routes over them."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import qdrant_edge as edge

Json = dict[str, Any]


class Refusal(Exception):
    """An answer that is not 200, with Qdrant's words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Collection:
    """One collection: its shard and what it was created with."""

    name: str
    config: Json
    shard: Any
    lock: threading.Lock = field(default_factory=threading.Lock)
    operations: int = 0

    @property
    def size(self) -> int:
        return int(self.config["vectors"]["size"])

    def update(self, operation: Any) -> Json:
        with self.lock:
            self.shard.update(operation)
            self.operations += 1
            return {"operation_id": self.operations, "status": "completed"}


def to_filter(body: Any) -> Any:
    """Qdrant's filter JSON as Edge's filter; raises `Refusal` for what the adapter has no business asking."""
    if body is None:
        return edge.Filter()
    if set(body) - {"must", "must_not", "should"}:
        raise Refusal(400, f"Format error in JSON body: unknown filter {sorted(body)}")
    must, must_not, should = ([_condition(item) for item in _listed(body.get(name))] for name in ("must", "must_not", "should"))
    return edge.Filter(must=must or None, must_not=must_not or None, should=should or None)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _condition(item: Json) -> Any:
    if set(item) & {"must", "must_not", "should"}:
        return to_filter(item)
    if "is_empty" in item:
        return edge.IsEmptyCondition(item["is_empty"]["key"])
    if "has_id" in item:
        return edge.HasIdCondition({UUID(str(point_id)) for point_id in item["has_id"]})
    if "key" in item and item.get("match") is not None:
        match = item["match"]
        if match.get("value") is not None:
            return edge.FieldCondition(item["key"], edge.MatchValue(match["value"]))
        if match.get("any") is not None:
            return edge.FieldCondition(item["key"], edge.MatchAny(match["any"]))
    raise Refusal(400, f"Format error in JSON body: the stand-in does not know the condition {item}")


def to_payload_selector(body: Any) -> Any:
    """Qdrant's `with_payload` as Edge's."""
    if isinstance(body, dict):
        if "exclude" in body:
            return edge.PayloadSelector.Exclude(body["exclude"])
        return edge.PayloadSelector.Include(body["include"])
    if isinstance(body, list):
        return edge.PayloadSelector.Include(body)
    return bool(body)


class Store:
    """All collections and aliases, in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        self.collections: dict[str, Collection] = {}
        root.mkdir(parents=True, exist_ok=True)
        for folder in sorted(root.glob("*/config.json")):
            config = json.loads(folder.read_text())
            name = config["name"]
            self.collections[name] = Collection(name, config, edge.EdgeShard.load(str(folder.parent / "shard")))
        aliases = root / "aliases.json"
        self.aliases: dict[str, str] = json.loads(aliases.read_text()) if aliases.exists() else {}

    def get(self, name: str) -> Collection:
        with self.lock:
            found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise Refusal(404, f"Not found: Collection `{name}` doesn't exist!")
        return found

    def create(self, name: str, body: Json) -> bool:
        with self.lock:
            if name in self.collections or name in self.aliases:
                raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
            folder = self.root / name.encode().hex()
            (folder / "shard").mkdir(parents=True)
            vectors = edge.EdgeVectorParams(
                size=body["vectors"]["size"], distance=getattr(edge.Distance, body["vectors"]["distance"])
            )
            shard = edge.EdgeShard.create(str(folder / "shard"), edge.EdgeConfig(vectors=vectors))
            config = {**body, "name": name}
            (folder / "config.new").write_text(json.dumps(config))
            (folder / "config.new").replace(folder / "config.json")
            self.collections[name] = Collection(name, config, shard)
            return True

    def drop(self, name: str) -> bool:
        with self.lock:
            found = self.collections.pop(name, None)
            if found is None:
                return False
            self._set_aliases({alias: target for alias, target in self.aliases.items() if target != name})
        found.shard.close()
        shutil.rmtree(self.root / name.encode().hex())
        return True

    def change_aliases(self, actions: list[Json]) -> bool:
        with self.lock:
            aliases = dict(self.aliases)
            for action in actions:
                if "delete_alias" in action:
                    aliases.pop(action["delete_alias"]["alias_name"], None)
                else:
                    made = action["create_alias"]
                    if made["collection_name"] not in self.collections:
                        raise Refusal(404, f"Not found: Collection `{made['collection_name']}` doesn't exist!")
                    aliases[made["alias_name"]] = made["collection_name"]
            self._set_aliases(aliases)
            return True

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        (self.root / "aliases.new").write_text(json.dumps(aliases))
        (self.root / "aliases.new").replace(self.root / "aliases.json")
        self.aliases = aliases


class Routes:
    """Each route the adapter uses. A method takes the path's names, the query string and the body, and returns `result`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        collection = r"/collections/(?P<name>[^/]+)"
        self.table: list[tuple[str, re.Pattern[str], Callable[[dict[str, str], Json], Any], bool]] = [
            (method, re.compile(pattern + "$"), handler, writes)
            for method, pattern, handler, writes in (
                ("GET", "/collections", self.list_collections, False),
                ("GET", "/aliases", self.list_aliases, False),
                ("POST", "/collections/aliases", self.change_aliases, True),
                ("GET", collection, self.describe, False),
                ("PUT", collection, self.create, True),
                ("DELETE", collection, self.drop, True),
                ("GET", collection + "/exists", self.exists, False),
                ("PUT", collection + "/index", self.index, True),
                ("PUT", collection + "/points", self.upsert, True),
                ("POST", collection + "/points", self.retrieve, False),
                ("POST", collection + "/points/batch", self.batch, True),
                ("POST", collection + "/points/delete", self.delete, True),
                ("POST", collection + "/points/query/batch", self.query_batch, False),
                ("POST", collection + "/points/scroll", self.scroll, False),
                ("POST", collection + "/points/count", self.count, False),
            )
        ]

    def list_collections(self, _: dict[str, str], __: Json) -> Any:
        return {"collections": [{"name": name} for name in self.store.collections]}

    def list_aliases(self, _: dict[str, str], __: Json) -> Any:
        return {"aliases": [{"alias_name": alias, "collection_name": target} for alias, target in self.store.aliases.items()]}

    def change_aliases(self, _: dict[str, str], body: Json) -> Any:
        return self.store.change_aliases(body["actions"])

    def exists(self, path: dict[str, str], _: Json) -> Any:
        return {"exists": path["name"] in self.store.collections or path["name"] in self.store.aliases}

    def create(self, path: dict[str, str], body: Json) -> Any:
        return self.store.create(path["name"], body)

    def drop(self, path: dict[str, str], _: Json) -> Any:
        return self.store.drop(path["name"])

    def describe(self, path: dict[str, str], _: Json) -> Any:
        found = self.store.get(path["name"])
        info, config = found.shard.info(), found.config
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": info.indexed_vectors_count,
            "points_count": info.points_count,
            "segments_count": info.segments_count,
            "config": {
                "params": {
                    "vectors": {key: value for key, value in config["vectors"].items() if value is not None},
                    "shard_number": config.get("shard_number") or 1,
                    "replication_factor": config.get("replication_factor") or 1,
                    "write_consistency_factor": config.get("write_consistency_factor") or 1,
                    "on_disk_payload": True,
                },
                "hnsw_config": {
                    "m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0, "on_disk": False,
                    **{key: value for key, value in (config.get("hnsw_config") or {}).items() if value is not None},
                },
                "optimizer_config": {
                    "deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0,
                    "max_segment_size": None, "memmap_threshold": None, "indexing_threshold": 10000,
                    "flush_interval_sec": 5, "max_optimization_threads": None,
                    **{key: value for key, value in (config.get("optimizers_config") or {}).items() if value is not None},
                },
                "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
                "quantization_config": config.get("quantization_config"),
            },
            "payload_schema": {
                name: {"data_type": "keyword", "points": entry.points} for name, entry in info.payload_schema.items()
            },
        }  # fmt: skip

    def index(self, path: dict[str, str], body: Json) -> Any:
        return self.store.get(path["name"]).update(
            edge.UpdateOperation.create_field_index(body["field_name"], edge.PayloadSchemaType.Keyword)
        )

    def upsert(self, path: dict[str, str], body: Json) -> Any:
        found = self.store.get(path["name"])
        for point in body["points"]:
            self._check_size(found, point["vector"])
        points = [edge.Point(UUID(point["id"]), point["vector"], point.get("payload") or {}) for point in body["points"]]
        condition = to_filter(body["update_filter"]) if body.get("update_filter") else None
        return found.update(edge.UpdateOperation.upsert_points(points, condition=condition))

    def batch(self, path: dict[str, str], body: Json) -> Any:
        found = self.store.get(path["name"])
        results = []
        for operation in body["operations"]:
            if set(operation) != {"set_payload"}:
                raise Refusal(400, f"Format error in JSON body: the stand-in does not know the operation {sorted(operation)}")
            change = operation["set_payload"]
            results.append(
                found.update(edge.UpdateOperation.set_payload_by_filter(to_filter(change["filter"]), change["payload"]))
            )
        return results

    def delete(self, path: dict[str, str], body: Json) -> Any:
        wanted = to_filter(body["filter"])
        return self.store.get(path["name"]).update(edge.UpdateOperation.delete_points_by_filter(wanted))

    def retrieve(self, path: dict[str, str], body: Json) -> Any:
        records = self.store.get(path["name"]).shard.retrieve(
            [UUID(point_id) for point_id in body["ids"]],
            with_payload=to_payload_selector(body.get("with_payload")),
            with_vector=bool(body.get("with_vector")),
        )
        return [self._record(record) for record in records]

    def query_batch(self, path: dict[str, str], body: Json) -> Any:
        found = self.store.get(path["name"])
        requests = []
        for search in body["searches"]:
            query = search["query"]
            vector = query["nearest"] if isinstance(query, dict) else query
            self._check_size(found, vector)
            requests.append(
                edge.QueryRequest(
                    limit=search.get("limit", 10),
                    query=edge.Query.Nearest(vector),
                    filter=to_filter(search.get("filter")),
                    with_payload=to_payload_selector(search.get("with_payload")),
                )
            )
        answers = found.shard.query_batch(edge.QueryBatchRequest(requests))
        return [
            {
                "points": [
                    {"id": str(point.id), "version": point.version, "score": point.score, "payload": point.payload}
                    for point in answer
                ]
            }
            for answer in answers
        ]

    def scroll(self, path: dict[str, str], body: Json) -> Any:
        offset = body.get("offset")
        request = edge.ScrollRequest(
            offset=None if offset is None else UUID(str(offset)),
            limit=body.get("limit", 10),
            filter=to_filter(body.get("filter")),
            with_payload=to_payload_selector(body.get("with_payload")),
            with_vector=bool(body.get("with_vector")),
        )
        records, following = self.store.get(path["name"]).shard.scroll(request)
        next_page = None if following is None else str(following)
        return {"points": [self._record(record) for record in records], "next_page_offset": next_page}

    def count(self, path: dict[str, str], body: Json) -> Any:
        request = edge.CountRequest(exact=bool(body.get("exact", True)), filter=to_filter(body.get("filter")))
        return {"count": self.store.get(path["name"]).shard.count(request)}

    @staticmethod
    def _record(record: Any) -> Json:
        answer: Json = {"id": str(record.id), "payload": record.payload}
        if record.vector is not None:
            answer["vector"] = record.vector
        return answer

    @staticmethod
    def _check_size(found: Collection, vector: list[float]) -> None:
        if len(vector) != found.size:
            raise Refusal(400, f"Wrong input: Vector dimension error: expected dim: {found.size}, got {len(vector)}")
