"""`make bench`: every benchmark, one after the other."""

from __future__ import annotations

from tests.bench import bench_end_to_end, bench_stream

if __name__ == "__main__":
    bench_stream.main()
    bench_end_to_end.main()
