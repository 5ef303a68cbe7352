"""Compute ``vectors.json`` anew with the stand-alone program, which shares no code with the draw.

Run with ``python tests/models/inspection/make_vectors.py`` when the specification gets a new
version; a change under the same version would be a defect.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).parent
PROGRAM = HERE.parents[2] / "models" / "inspection" / "standalone.py"

POOLS = {
    "equal": [f"91210100{i:010d},甲,0.250000000000" for i in range(12)],
    "pareto": [
        "a,S,0.100000000000", "b,S,0.200000000000", "c,S,0.300000000000", "d,S,0.600000000000",
        "e,S,0.800000000000",
    ],
    "strata, mandatory, ids that sort before the comma": [
        "A!,乙,0.750000000000", "A,乙,0.500000000000", "B,甲,1.000000000000",
        "C,丙,0.500000000000", "D,丙,0.500000000000", "E,乙,0.250000000000",
        "沈阳,乙,0.500000000000",
    ],
    "extreme": [
        "x1,S,0.000000000001", "x2,S,0.333333333333", "x3,S,0.666666666667",
        "x4,S,0.999999999999",
    ],
}  # fmt: skip
ENTROPY = [
    {"source": "双色球 2026003", "value": "01,05,12,19,27,33+08"},
    {"source": "drand 4501234", "value": "9f3c" * 16},
]


def main() -> None:
    """Write the vectors."""
    spec = spec_from_file_location("standalone", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    program = module_from_spec(spec)
    sys.modules["standalone"] = program
    spec.loader.exec_module(program)
    vectors: list[dict[str, object]] = []
    for name, lines in POOLS.items():
        content = "".join(f"{line}\n" for line in sorted(lines, key=str.encode)).encode()
        rows = program.pool_rows(content)
        commitment = {"plan": f"plan {name}", "commitment": sha256(content).hexdigest()}
        seed = program.seed_of(commitment, ENTROPY)
        strata = [
            program.draw_stratum(one, rows[one], seed) for one in sorted(rows, key=str.encode)
        ]
        drawn = sorted(one for stratum in strata for one in stratum.drawn)
        vectors.append(
            {
                "pool": content.decode(),
                **commitment,
                "entropy": ENTROPY,
                "seed": seed,
                "u": {
                    row.subject: program.uniform(seed, row.subject)
                    for members in rows.values()
                    for row in members
                },
                "strata": [stratum.summary for stratum in strata],
                "drawn": [
                    {
                        "subject_id": one.subject,
                        "u": one.u,
                        "key": one.key,
                        "inclusion_probability": one.probability,
                    }
                    for one in drawn
                ],
                "result": sha256("".join(f"{one.subject}\n" for one in drawn).encode()).hexdigest(),
            }
        )
    text = json.dumps(vectors, ensure_ascii=False, indent=1)
    (HERE / "vectors.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
