"""Who asks a store and where it is: credentials, profiles, options, and what is said when they do not do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import serve

from datapipe import s3, storage
from datapipe.errors import ConfigError, Unreachable
from datapipe.s3 import client
from datapipe.s3.retry import shown

SECRETS = ("AKIAFILE", "fileSecret", serve.SECRET)


def profiles(home: Path, credentials: str = "", config: str = "") -> None:
    (home / ".aws").mkdir()
    (home / ".aws/credentials").write_text(credentials)
    (home / ".aws/config").write_text(config)


def without_keys(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *names):
        monkeypatch.delenv(name)


def test_finds_keys_region_and_endpoint_in_the_profile(
    store: serve.Store, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_keys(monkeypatch, "AWS_ENDPOINT_URL", "AWS_REGION")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    profiles(
        tmp_path,
        "[lab]\naws_access_key_id = AKIAFILE\naws_secret_access_key = fileSecret\n",
        f"[profile lab]\nregion = eu-west-3\nendpoint_url = {store.endpoint}\n",
    )

    storage.put(f"{folder}/a", b"x")

    assert store.counts()["signed"] == 1
    found = client.locate(folder)[0]
    assert (found.credential_provider()["access_key_id"], found.config["region"]) == ("AKIAFILE", "eu-west-3")


def test_an_option_names_the_profile_of_a_prefix_and_beats_the_environment(
    store: serve.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles(
        tmp_path,
        "[lab]\naws_access_key_id = AKIAFILE\naws_secret_access_key = fileSecret\n",
        f"[profile lab]\nservices = here\n[services here]\ns3 =\n  endpoint_url = {store.direct}\n",
    )
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of other keys")
    storage.configure({"s3://bucket/lab": {"profile": "lab"}})

    found = client.locate("s3://bucket/lab/a")[0]
    other = client.locate("s3://bucket/laboratory")[0]

    assert (found.credential_provider()["access_key_id"], found.config["endpoint"]) == ("AKIAFILE", store.direct)
    assert found.credential_provider()["token"] is None
    assert other.credential_provider is None


def test_the_endpoint_of_s3_and_the_one_of_a_prefix_have_the_last_word(
    store: serve.Store, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.endpoint)
    storage.put(f"{folder}/a", b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    storage.configure({"s3://bucket": {"endpoint": store.endpoint}})

    assert storage.read_bytes(f"{folder}/a") == b"x"


@pytest.mark.parametrize("how", ["option", "AWS_NO_SIGN_REQUEST", "AWS_SKIP_SIGNATURE"])
def test_asks_without_a_name_where_it_is_told_to(store: serve.Store, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_public("bucket", "crawl/a.warc.gz", b"public")
    if how == "option":
        storage.configure({"s3://bucket/crawl": {"anonymous": True}})
    else:
        monkeypatch.setenv(how, "true")
    store.reset()

    assert storage.read_bytes("s3://bucket/crawl/a.warc.gz") == b"public"
    assert "signed" not in store.counts()


def test_reads_from_a_web_server_and_puts_nothing_there(store: serve.Store) -> None:
    store.put_public("bucket", "web/a b.txt", b"public") if False else store.put_public(
        "bucket", "web/a.txt", b"public"
    )
    url = f"{store.endpoint}/bucket/web/a.txt"

    [file] = storage.find_files(url)

    assert (file.name, file.size_bytes) == ("a.txt", 6)
    with storage.open_input(url) as opened:
        assert opened.read() == b"public"
    with pytest.raises(ConfigError, match="a web server cannot be asked for what is"):
        storage.find_files(f"{store.endpoint}/bucket/web/*.txt")
    with pytest.raises(ConfigError, match="a web server can only be read"):
        storage.put(f"{store.endpoint}/bucket/web/b.txt", b"x")


def test_a_missing_bucket_and_a_refusal_are_said(store: serve.Store, folder: str) -> None:
    with pytest.raises(ConfigError, match=r"s3://nobucket/\S+: there is no such bucket"):
        storage.check_store("s3://nobucket/work")
    with pytest.raises(ConfigError, match="s3://nobucket/in: there is no such bucket"):
        storage.find_files("s3://nobucket/in/*.gz")
    store.next_faults(["403"] * 3)
    for ask in (storage.read_bytes, storage.walk, lambda path: storage.put_new(path, b"")):
        with pytest.raises(ConfigError, match=r"/a: the store refuses access \((AccessDenied|403)\)"):
            ask(f"{folder}/a")


def test_no_credentials_are_said_in_time(store: serve.Store, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_keys(monkeypatch)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("datapipe.s3.retry.CREDENTIALS_SECONDS", 0.5)

    with pytest.raises(ConfigError, match="no credentials were found: not in AWS_ACCESS_KEY_ID"):
        storage.read_bytes(f"{folder}/a")


@pytest.mark.parametrize(
    ("stores", "said"),
    [
        ({"s3://b": {"secret_access_key": "fileSecret"}}, "stores: s3://b: unknown option 'secret_access_key'"),
        ({"s3://b": {"anonymous": "yes"}}, "anonymous is to be true or false"),
        ({"s3://b": {"endpoint": "http://AKIAFILE:fileSecret@host"}}, "the endpoint is to be http://host"),
        ({"s3://AKIAFILE:fileSecret@b": {}}, "s3://b: has credentials in it"),
        ({"https://b": {"region": "x"}}, "options are for s3:// alone"),
    ],
)
def test_options_that_cannot_be_are_refused_and_not_repeated(stores: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(ConfigError) as met:
        s3.configure(stores)

    assert said in str(met.value)
    assert not any(secret in str(met.value) for secret in SECRETS)


@pytest.mark.parametrize("url", ["s3://AKIAFILE:fileSecret@bucket/a", "https://AKIAFILE:fileSecret@host/a"])
def test_addresses_with_credentials_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="has credentials in it") as met:
        storage.read_bytes(url)

    assert not any(secret in str(met.value) for secret in SECRETS)
    assert shown("https://AKIAFILE:fileSecret@host/a?X-Amz-Signature=fileSecret") == "https://host/a"


def test_no_secret_is_in_a_message(store: serve.Store, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPIPE_STORE_RETRY_SECONDS", "0.3")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "fileSecret")
    for fault in ("403", "503", "cut_before", "409"):
        store.next_faults([fault] * 20)
        with pytest.raises((ConfigError, Unreachable)) as met:
            storage.put_new(f"{folder}/a", b"")
        store.reset()

        error: BaseException | None = met.value
        while error is not None:
            assert not any(secret in str(error) for secret in (*SECRETS, "testing"))
            error = error.__cause__


def test_a_profile_that_makes_its_keys_and_one_that_is_not_there(
    store: serve.Store, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_keys(monkeypatch)
    profiles(tmp_path, config="[profile sso]\nsso_start_url = https://x\nsso_region = eu-west-1\n")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match="there is no profile 'nobody'"):
        storage.read_bytes(f"{folder}/a")
    monkeypatch.setenv("AWS_PROFILE", "sso")
    with pytest.raises(ConfigError, match="the profile 'sso' gives no credentials"):
        storage.read_bytes(f"{folder}/a")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError, match="for which boto3 is needed"):
        storage.read_bytes(f"{folder}/a")


def test_says_whether_a_store_keeps_conditional_puts(store: serve.Store, folder: str) -> None:
    assert storage.check_store(folder) is None
    store.set_faults({"ignores": 1.0})
    warning = storage.check_store(folder)
    store.set_faults({})

    assert warning is not None
    assert warning.startswith(f"{folder}: the store ignores conditional puts")
    assert storage.walk(folder) == []


@pytest.mark.parametrize("key", ["a//b", "a/../b", "./a"])
def test_a_key_that_cannot_be_used_is_said(folder: str, key: str) -> None:
    with pytest.raises(ConfigError, match="is no name that can be used"):
        storage.read_bytes(f"{folder}/{key}")


def test_empty_objects_that_mark_folders_are_no_files(store: serve.Store, folder: str) -> None:
    key = folder.partition("://bucket/")[2]
    for marker in ("", "in/", "in/deep/", "in/bare/"):
        store.put_public("bucket", f"{key}/{marker}", b"")
    storage.put(f"{folder}/in/deep/a.txt", b"x")
    storage.put(f"{folder}/in/empty.txt", b"")

    assert [file.name for file in storage.find_files(f"{folder}/in")] == ["deep/a.txt", "empty.txt"]
    assert storage.list_folder(f"{folder}/in") == [f"{folder}/in/empty.txt"]


def test_a_key_that_cannot_be_used_among_those_listed_is_said(store: serve.Store, folder: str) -> None:
    store.put_public("bucket", f"{folder.partition('://bucket/')[2]}/a//b", b"x")

    with pytest.raises(ConfigError, match="stands beside such a one"):
        storage.find_files(folder)


def test_a_child_forked_after_a_read_says_so_instead_of_waiting_for_ever(store: serve.Store, folder: str) -> None:
    program = """
import os, sys
from datapipe import storage
storage.put(sys.argv[1] + "/a", b"x")
child = os.fork()
if child == 0:
    try:
        storage.read_bytes(sys.argv[1] + "/a")
    except Exception as error:
        os.write(1, str(error).encode())
    os._exit(0)
os.waitpid(child, 0)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, timeout=60, env=os.environ, check=True
    )

    assert "was forked from one that had read a store" in ran.stdout
