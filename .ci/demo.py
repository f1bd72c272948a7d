"""`make demo`: renders this repository's models.yaml into build/demo, a Git repository of its own, and rehearses it.

`make demo PLATFORM=aks` does so with the catalogue of that platform in tests/cases. Works as a user would: the
installed `modelyard`, git and helm. Nothing here knows how the tree is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import charts
import tools

CHECKOUT = Path(__file__).resolve().parent.parent
DEMO = CHECKOUT / "build" / "demo"
TREE = DEMO / "rendered"
INPUTS = ("models.yaml", "models.lock.yaml")
MODELYARD = Path(sys.executable).with_name("modelyard")
# The folders of a rendered tree, in the order in which they are shown; the rest is the last family.
FAMILIES = {
    "bootstrap": "Argo CD: projects and ApplicationSets",
    "charts": "Helm charts",
    "clusters": "values of each cluster, manifests for kubectl",
    "kro": "kro definitions",
    "serve": "code of the applications",
    "images": "images with models inside",
    "backstage": "Backstage template",
    "terraform": "Terraform",
    "": "catalogue page, ownership",
}
# A demo must not depend on what its user has set up for their own commits.
GIT = {
    "user.name": "Modelyard demo",
    "user.email": "demo@modelyard.invalid",
    "commit.gpgsign": "false",
    "core.hooksPath": "/dev/null",
    "core.autocrlf": "false",
}


@dataclass(frozen=True, slots=True)
class Platform:
    """Whose catalogue is shown, and the service of it that CPUs can run.

    `applications` are those that are asked, all that this machine can run where none is named. `model` stands in for
    those of the catalogue; what it answers has to hold `answer`, which is empty for one that is not trained.
    """

    catalogue: str  # folder with models.yaml, below the checkout
    service: str
    applications: tuple[str, ...] = ()
    model: str = "smollm2"
    prompt: str = "What is the capital of France?"
    answer: str = "Paris"


PLATFORMS = {
    "eks": Platform(".", "chat"),
    "aks": Platform("tests/cases/aks", "text", ("simple",)),
    "shared-gpu": Platform("tests/cases/shared-gpu", "assistant", (), "tiny", "The house is wonderful.", ""),
    "kserve": Platform("tests/cases/kserve", "chat"),
    "any-kubernetes": Platform("tests/cases/any-kubernetes", "chat"),
}
DEFAULT = "eks"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `objects` is None for a family that holds no Kubernetes objects."""

    family: str
    files: int
    objects: int | None
    size: int


def step(text: str) -> None:
    print(f"demo: {text}", flush=True)


def run(*command: str | Path) -> str:
    """Runs in the demo repository; without the GIT_* of a hook that may have started us."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        [str(word) for word in command], cwd=DEMO, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def copy_inputs(platform: Platform) -> None:
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    for name in INPUTS:
        path = CHECKOUT / platform.catalogue / name
        if path.is_file():
            shutil.copyfile(path, DEMO / name)


def commit() -> str:
    """One commit of everything; its short id."""
    settings = [word for key, value in GIT.items() for word in ("-c", f"{key}={value}")]
    run("git", *settings, "init", "--quiet", "--initial-branch", "main")
    run("git", *settings, "add", "--all")
    message = f"Render models.yaml with modelyard {run(MODELYARD, '--version').split()[-1]}"
    run("git", *settings, "commit", "--quiet", "--message", message)
    return run("git", "rev-parse", "--short", "HEAD")


def expand(helm: Path) -> Counter[str]:
    """Objects by kind that the charts make for the clusters; each chart is linted with each of its values."""
    made: Counter[str] = Counter()
    for release in charts.releases(TREE):
        charts.lint(helm, release)
        manifests = charts.template(helm, release)
        by_hand = (TREE / "clusters" / release.name / "kustomization.yaml").is_file()
        if release.facts and not by_hand:  # those stand in manifests/
            made.update(charts.kinds(manifests))
    return made


def rows(from_charts: int) -> Iterator[Row]:
    files = [path for path in sorted(TREE.rglob("*")) if path.is_file()]
    for folder, family in FAMILIES.items():
        own = [path for path in files if family_of(path) == folder]
        if own:
            yield Row(family, len(own), objects_of(folder, own, from_charts), sum(p.stat().st_size for p in own))


def family_of(path: Path) -> str:
    first = path.relative_to(TREE).parts[0]
    return first if first in FAMILIES else ""


def objects_of(folder: str, files: list[Path], from_charts: int) -> int | None:
    if folder == "charts":
        return from_charts
    return sum(len(charts.kinds(path.read_text())) for path in files if path.suffix == ".yaml") or None


def table(lines: list[Row]) -> Iterator[str]:
    width = max(len(row.family) for row in lines)
    yield f"  {'made':<{width}}  {'files':>5}  {'objects':>7}  {'bytes':>9}"
    for row in lines:
        objects = "" if row.objects is None else str(row.objects)
        yield f"  {row.family:<{width}}  {row.files:>5}  {objects:>7}  {row.size:>9,}"
    total = Row("all", sum(r.files for r in lines), sum(r.objects or 0 for r in lines), sum(r.size for r in lines))
    yield f"  {total.family:<{width}}  {total.files:>5}  {total.objects:>7}  {total.size:>9,}"


def report(made: Counter[str], head: str) -> None:
    print()
    print("\n".join(table(list(rows(made.total())))))
    print()
    if made:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(made.items()))
        print(f"The charts make for the clusters: {kinds}.")
    print(f"The repository is {os.path.relpath(DEMO)}, commit {head}: start with rendered/README.md.")
    print()


def rehearse(platform: Platform, helm: Path) -> None:
    """Stages, serves and asks; a model that is here stands in for the one on the Hub. Raises CalledProcessError."""
    command = [MODELYARD, "rehearse", platform.service, "--demo-model", platform.model, "--prompt", platform.prompt]
    command += [word for name in platform.applications for word in ("--application", name)]
    words = [str(word) for word in (*command, "--helm", helm)]
    done = subprocess.run(words, cwd=DEMO, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    if platform.answer not in done.stdout:
        raise subprocess.CalledProcessError(1, done.args, "", f"the answer has no {platform.answer}")


def farewell() -> None:
    print("Next: change models.yaml, `make render`, `git diff rendered`. Your own repository:")
    print(f"  {os.path.relpath(MODELYARD)} init ../my-platform")


def render(platform: Platform, helm: Path) -> None:
    step(f"modelyard render: {os.path.normpath(platform.catalogue + '/models.yaml')} -> {os.path.relpath(TREE)}")
    copy_inputs(platform)
    print(run(MODELYARD, "render", "--helm", helm))
    head = commit()
    step("modelyard check: the commit is what models.yaml says")
    run(MODELYARD, "check", "--helm", helm)
    step("modelyard lint: every object against the schema of its kind, and our rules")
    print(run(MODELYARD, "lint", "rendered", "--helm", helm))
    step("helm lint --strict, helm template: every chart with every set of values")
    report(expand(helm), head)


def demo(platform: Platform) -> None:
    step("helm")
    (helm,) = tools.ensure(["helm"])
    render(platform, helm)
    step(f"modelyard rehearse {platform.service}: stage, serve, ask")
    rehearse(platform, helm)
    farewell()


def main(words: Sequence[str] = ()) -> int:
    """`words`: the platform's name, else the environment's PLATFORM."""
    name = next(iter(words), os.environ.get("PLATFORM") or DEFAULT)
    if name not in PLATFORMS:
        sys.stderr.write(f"demo: there is no platform {name}: {', '.join(PLATFORMS)}\n")
        return 2
    try:
        demo(PLATFORMS[name])
    except tools.ToolsError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        command = " ".join(error.cmd)
        sys.stderr.write(f"{error.stdout or ''}{error.stderr or ''}\ndemo: exit {error.returncode} from: {command}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
