"""`freezeline alertmanager`: prints, checks or changes a file."""

import argparse
import json
from pathlib import Path

import pytest
import yaml

from freezeline.cli import main
from freezeline.commands import places
from generator.render.alertmanager import alertmanager
from generator.render.alertmanager.places import DEFAULTS
from tests.unit.generator.existing.test_merge import USERS
from tests.unit.generator.spec.loading import BASE


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A configuration and a spec: their paths."""
    config, spec = tmp_path / "alertmanager.yml", tmp_path / "gateway.yaml"
    config.write_text(USERS)
    config.chmod(0o640)
    spec.write_text(BASE)
    return str(config), str(spec)


def test_the_result_is_printed_and_the_file_left_alone(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --write, the command changes no file."""
    assert main(["alertmanager", "merge", *files]) == 0
    assert "receiver: freezeline" in capsys.readouterr().out
    assert Path(files[0]).read_text() == USERS


def test_writing_keeps_the_mode_and_brings_the_templates(files: tuple[str, str]) -> None:
    """`--check` then finds no change, and `remove` takes everything out again."""
    config = Path(files[0])
    assert main(["alertmanager", "merge", "--write", *files]) == 0
    assert config.stat().st_mode & 0o777 == 0o640
    assert (config.parent / "freezeline.tmpl").read_text() == alertmanager.template_text()
    assert main(["alertmanager", "merge", "--check", *files]) == 0
    assert main(["alertmanager", "remove", "--write", files[0]]) == 0
    assert config.read_text() == USERS.replace("inhibit_rules: []", "inhibit_rules:")


def test_a_template_of_the_users_own_is_not_overwritten(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that Freezeline did not write stays, the configuration too, and the message says what to do."""
    config = Path(files[0])
    theirs = config.parent / "freezeline.tmpl"
    theirs.write_text('{{ define "slack.title" }}mine{{ end }}')
    assert main(["alertmanager", "merge", "--write", *files]) == 1
    assert "freezeline.tmpl is not a file of Freezeline; rename it" in capsys.readouterr().err
    assert theirs.read_text() == '{{ define "slack.title" }}mine{{ end }}'
    assert config.read_text() == USERS
    assert main(["alertmanager", "merge", "--write", "--template", "ours.tmpl", *files]) == 0
    assert (config.parent / "ours.tmpl").read_text() == alertmanager.template_text()


def test_check_shows_what_would_change(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, a diff, and the command that updates the file."""
    assert main(["alertmanager", "merge", "--check", *files]) == 1
    out, err = capsys.readouterr()
    assert "+  - receiver: freezeline" in out
    assert f"freezeline alertmanager merge --write {files[0]}" in err
    assert Path(files[0]).read_text() == USERS


def test_where_things_are_can_be_said(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Options set the webhook's address and the directory of secrets."""
    options = ["--webhook-url", "http://deploy-1:9099/webhook", "--secrets", "/run/secrets"]
    assert main(["alertmanager", "merge", *options, *files]) == 0
    out = capsys.readouterr().out
    assert "url: http://deploy-1:9099/webhook" in out
    assert "credentials_file: /run/secrets/freezeline-webhook" in out


def test_each_receiver_gets_every_alert(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The option may be given for each of several receivers that share a journal; `--check` and its command agree."""
    options = ["--webhook-url", "http://deploy-1:9099/webhook", "--webhook-url", "http://deploy-2:9099/webhook"]
    assert main(["alertmanager", "merge", "--write", *options, *files]) == 0
    receivers = yaml.safe_load(Path(files[0]).read_text())["receivers"]
    (ours,) = (receiver for receiver in receivers if receiver["name"] == "freezeline")
    assert [one["url"] for one in ours["webhook_configs"]] == options[1::2]
    assert len({json.dumps({**one, "url": ""}) for one in ours["webhook_configs"]}) == 1
    assert main(["alertmanager", "merge", "--check", *options, *files]) == 0
    capsys.readouterr()
    assert main(["alertmanager", "merge", "--check", *options[:2], *files]) == 1
    out, err = capsys.readouterr()
    assert "- url: http://deploy-2:9099/webhook\n" in out
    assert f"run: freezeline alertmanager merge --write {files[0]} {files[1]} {' '.join(options[:2])}\n" in err


@pytest.mark.parametrize("url", ["deploy-1:9099/webhook", "http://", "ftp://deploy-1/webhook", "http://deploy 1/x"])
@pytest.mark.parametrize("command", ["alertmanager merge am.yml", "generate", "validate --alertmanager am.yml"])
def test_a_webhook_url_that_is_none_is_wrong_usage(
    command: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 before anything is read, and the message says what to write."""
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "--webhook-url", url]) == 2
    assert f"argument --webhook-url: {url!r} is no URL: write http://HOST:9099/webhook" in capsys.readouterr().err


def test_problems_are_shown_with_their_line(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """As for specs: file, line, column, the source line, and a hint."""
    config = Path(files[0])
    config.write_text(USERS.replace("name: dba", "name: freezeline"))
    assert main(["alertmanager", "merge", "--write", *files]) == 1
    err = capsys.readouterr().err
    assert (
        f"{config}:25:13: error: receivers already has the name freezeline, which Freezeline adds [merge/name]" in err
    )
    assert "    - name: freezeline\n" in err
    assert config.read_text() == USERS.replace("name: dba", "name: freezeline")


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and no file is written."""
    assert main(["alertmanager", "merge", str(tmp_path / "none.yml")]) == 2
    assert "none.yml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_generate_takes_the_same_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The options change only Alertmanager's files; `--check` compares these, and its command repeats the options."""
    spec, plain, placed = tmp_path / "gateway.yaml", tmp_path / "plain", tmp_path / "placed"
    spec.write_text(BASE)
    options = ["--webhook-url", "http://deploy-1:9099/webhook", "--secrets", "/run/my secrets"]
    assert main(["generate", str(spec), "-o", str(plain), "--scope", "test"]) == 0
    argv = ["generate", str(spec), "-o", str(placed), "--scope", "test"]
    assert main([*argv, *options]) == 0
    for name in ("gateway.yml", "_all.yml"):
        text = (placed / "rules" / "alertmanager" / name).read_text()
        assert "url: http://deploy-1:9099/webhook" in text
        assert "credentials_file: /run/my secrets/freezeline-webhook" in text
        assert DEFAULTS.secrets not in text
    assert differing(plain, placed) == {"gateway.yml", "_all.yml", ".freezeline-generated.json"}
    capsys.readouterr()
    assert main([*argv, *options, "--check"]) == 0
    assert main([*argv, "--check"]) == 1
    (placed / "rules" / "alertmanager" / "gateway.yml").unlink()
    capsys.readouterr()
    assert main([*argv, *options, "--check"]) == 1
    assert "--webhook-url http://deploy-1:9099/webhook --secrets '/run/my secrets'" in capsys.readouterr().out


def differing(one: Path, other: Path) -> set[str]:
    """Names of the files that differ between two folders with the same names."""
    paths = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert paths == {path.relative_to(other) for path in other.rglob("*") if path.is_file()}
    return {path.name for path in paths if (one / path).read_bytes() != (other / path).read_bytes()}


def test_the_help_names_the_real_defaults() -> None:
    """The help shows the defaults without importing the renderer."""
    parser = argparse.ArgumentParser()
    places.configure(parser)
    text = " ".join(parser.format_help().split())
    assert f"(default: {DEFAULTS.webhook_urls[0]})" in text
    assert f"(default: {DEFAULTS.secrets})" in text
