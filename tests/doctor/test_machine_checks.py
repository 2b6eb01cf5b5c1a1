from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from worker.doctor.findings import Level
from worker.doctor.machine_checks import Machine, check_disk, check_machine, existing, this_machine
from worker.settings import Settings


def settings(**rooms: Any) -> Settings:
    return Settings(_env_file=None, **rooms)


def test_the_machine_is_what_the_container_may_use(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(str(2 << 30))
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    machine = this_machine(tmp_path, meminfo)
    assert machine.cores == 0.5
    assert machine.memory_mib == 2048


def test_without_limits_the_machine_is_the_machine(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16777216 kB\n")
    machine = this_machine(tmp_path, meminfo)
    assert machine.cores == machine.affinity >= 1
    assert machine.memory_mib == 16384
    assert this_machine(tmp_path / "none", tmp_path / "none").memory_mib == float("inf")


def test_more_threads_than_cores_are_named_with_the_right_number() -> None:
    cores, *_ = check_machine(settings(), Machine(cores=2, affinity=16, memory_mib=1e6))
    assert cores.level is Level.WARN
    assert cores.advice == "set INTAKE_VISION__THREADS=2"
    cores, *_ = check_machine(settings(vision={"threads": 2}), Machine(cores=2, affinity=16, memory_mib=1e6))
    assert cores.level is Level.OK


def test_on_a_gpu_threads_do_not_matter() -> None:
    cores, *_ = check_machine(settings(vision={"provider": "cuda"}), Machine(cores=2, affinity=16, memory_mib=1e6))
    assert cores.level is Level.OK


def test_decoders_that_do_not_fit_into_memory_are_named() -> None:
    machine = Machine(cores=2, affinity=2, memory_mib=2048)
    findings = {finding.check: finding for finding in check_machine(settings(imaging={"decoder_processes": 4}), machine)}
    assert findings["memory"].level is Level.WARN
    assert "DECODER_PROCESSES" in findings["memory"].advice


def test_few_open_files_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _which: (256, 256))
    assert any(f.check == "files" and f.level is Level.WARN for f in check_machine(settings()))


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("free_mib", "level"), [(100, Level.FAIL), (1000, Level.WARN), (10_000, Level.OK)])
def test_room_on_the_disk_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_mib: int, level: Level) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(0, 0, free_mib << 20))
    findings = list(
        check_disk(settings(vision={"cache_dir": tmp_path / "not" / "yet"}, catalogue={"engine": "edge", "path": tmp_path}))
    )
    assert len(findings) == 3
    assert {finding.level for finding in findings} == {level}


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    assert existing(tmp_path / "a" / "b") == tmp_path
