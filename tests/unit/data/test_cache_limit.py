"""The cache of latents stays below its limit and loses the oldest files first."""

import os

from pack.training.data.cache_limit import limit_cache


def test_oldest_files_go_until_the_rest_fits(tmp_path):
    for index in range(6):
        path = tmp_path / f"{index:02d}" / f"{index}.safetensors"
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        os.utime(path, (index, index))
    (tmp_path / "00" / "note.txt").write_text("not ours")
    assert limit_cache(tmp_path, 350) == 3
    assert sorted(path.name for path in tmp_path.glob("*/*")) == [
        "3.safetensors",
        "4.safetensors",
        "5.safetensors",
        "note.txt",
    ]
    assert limit_cache(tmp_path, 350) == 0
    assert limit_cache(tmp_path / "missing", 0) == 0
