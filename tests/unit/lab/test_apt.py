from __future__ import annotations

import pytest

from scaler.lab.apt import upstream


@pytest.mark.parametrize(
    ("debian", "tag"),
    [
        ("1.20.5+really1.20.2-1.1+deb12u1", "v1.20.2"),
        ("3.4.23-4+b4", "v3.4.23"),
        ("1.6.20~ds1-1+deb12u3", "v1.6.20"),
        ("1.1.5+ds1-1+deb12u1", "v1.1.5"),
        ("1:1.35.0-4+deb12u1+b1", "v1.35.0"),
        ("2.0", "v2.0"),
    ],
)
def test_a_debian_version_tells_the_tag_of_upstream(debian: str, tag: str) -> None:
    assert upstream(debian) == tag
