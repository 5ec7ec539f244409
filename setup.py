"""Map the top-level folders to parts of the package `reqrep`; all else is in pyproject.toml."""

from setuptools import find_packages, setup

PARTS = ("harness", "patterns", "properties")

setup(
    packages=[
        "reqrep",
        *(
            f"reqrep.{package}"
            for part in PARTS
            for package in (part, *(f"{part}.{sub}" for sub in find_packages(part)))
        ),
    ],
    package_dir={"reqrep": "src/reqrep", **{f"reqrep.{part}": part for part in PARTS}},
)
