"""What a run says it was made with."""

import subprocess

from pathfinder.experiment.provenance import commit_of


def git(folder, *arguments):
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True)


def test_only_a_checkout_of_the_code_has_a_commit(tmp_path):
    package = tmp_path / "lib" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert commit_of(package) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "thesis.tex").write_text("")
    git(tmp_path, "add", "thesis.tex")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    assert commit_of(package) is None  # the repository of somebody else's work, into which it was installed
    git(tmp_path, "add", "lib")
    git(tmp_path, "commit", "-q", "-m", "Add")
    found = commit_of(package)
    assert found is not None and len(found) == 12
    (package / "__init__.py").write_text("changed = True")
    assert commit_of(package) == f"{found}+"
