"""Clients of stores: where a bucket is and who asks, by options, environment and the files of ~/.aws.

Credentials are found in the standard order: AWS_ACCESS_KEY_ID and its secret in the environment; a web identity token
(AWS_WEB_IDENTITY_TOKEN_FILE); the profile AWS_PROFILE or `default` of ~/.aws/credentials and ~/.aws/config (or
AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE) with its keys, region and endpoint; the metadata service of a container or
an instance. A profile of another kind (SSO, `role_arn`, `credential_process`) needs boto3 to be installed, which then
gives the credentials. Endpoint: option, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_ENDPOINT, profile.

A profile that holds keys gives way to those of the environment; one that `stores` names does not.
"""

from __future__ import annotations

import configparser
import os
import re
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import HTTPStore, S3Store

from datapipe.errors import ConfigError
from datapipe.s3.retry import BUDGET_SECONDS, RETRY_SECONDS, seconds_of, shown

Client = S3Store | HTTPStore
OPTIONS: dict[str, type] = {
    "anonymous": bool,  # requests are not signed
    "endpoint": str,  # http:// is allowed where it is given
    "profile": str,  # of the files in ~/.aws
    "region": str,
    "requester_pays": bool,
    "virtual_host": bool,  # the bucket stands in the host's name
}
TIMEOUT_SECONDS = "DATAPIPE_STORE_TIMEOUT_SECONDS"
CONNECT_SECONDS = 10
TRUE = {"1", "true", "yes", "on"}

_options: dict[str, dict[str, Any]] = {}  # Any: what JSON holds
_clients: dict[object, Client] = {}
_making = threading.Lock()
_forked = False


def configure(stores: Mapping[str, Mapping[str, Any]]) -> None:
    """Sets the options of stores by prefix of their URL, in the place of those before.

    Raises:
        ConfigError: an option is unknown or of the wrong kind.
    """
    global _options  # noqa: PLW0603 - one setting a process; changed at once, since other threads read it
    checked = {}
    for prefix, options in stores.items():
        where = f"stores: {shown(prefix)}"
        if not prefix.startswith("s3://"):
            raise ConfigError(f"{where}: options are for s3:// alone")
        _split(prefix)
        for name, value in options.items():
            if name not in OPTIONS:
                raise ConfigError(
                    f"{where}: unknown option {name!r}; there are {', '.join(OPTIONS)} "
                    "(secrets come from the environment or ~/.aws, never from a config)"
                )
            if not isinstance(value, OPTIONS[name]):
                raise ConfigError(f"{where}: {name} is to be {'true or false' if OPTIONS[name] is bool else 'text'}")
        _check_endpoint(str(options.get("endpoint", "https://")), where)
        checked[prefix.rstrip("/")] = dict(options)
    _options = checked


def stores() -> dict[str, dict[str, Any]]:
    """Returns the options that were set, by prefix."""
    return {prefix: dict(options) for prefix, options in _options.items()}


def locate(url: str, patient: bool = False) -> tuple[Client, str]:
    """Returns the client of a URL's store, one a process for each bucket and settings, and the key.

    A `patient` client tries again by itself: for calls of many requests, of which a retry should not repeat all.

    Raises:
        ConfigError: the URL or the settings cannot be used.
    """
    host, key = _split(url)
    scheme = url.partition("://")[0]
    options = _options_of(url) if scheme == "s3" else {}
    environment = [(name, value) for name, value in os.environ.items() if name.startswith(("AWS_", "DATAPIPE_STORE_"))]
    known = (scheme, host, patient, tuple(sorted(options.items())), tuple(sorted(environment)))
    with _making:
        if _forked:
            raise ConfigError(
                f"{shown(url)}: this process was forked from one that had read a store, whose connections do not "
                "survive that; start it by spawn"
            )
        if known not in _clients:
            _clients[known] = _s3(url, host, options, patient) if scheme == "s3" else _http(scheme, host)
        return _clients[known], key if scheme == "s3" else unquote(key)


def _split(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    host, _, key = rest.partition("/")
    if "@" in host:
        raise ConfigError(f"{shown(url)}: has credentials in it; give them in the environment or in ~/.aws")
    if scheme != "s3" and ("?" in key or "#" in key):
        raise ConfigError(f"{shown(url)}: has a query, which is not sent; fetch it to a disk or a bucket first")
    if not host:
        raise ConfigError(f"{shown(url)}: names no {'bucket' if scheme == 's3' else 'host'}")
    return host, key


def _options_of(url: str) -> dict[str, Any]:
    """Returns the options of the longest prefix that holds a URL."""
    known = _options
    holding = [prefix for prefix in known if f"{url}/".startswith(f"{prefix}/")]
    return known[max(holding, key=len)] if holding else {}


def _http(scheme: str, host: str) -> HTTPStore:
    return HTTPStore(f"{scheme}://{host}", client_options=_client_options(scheme == "http"), retry_config=_retries())


def _s3(url: str, bucket: str, options: dict[str, Any], patient: bool) -> S3Store:
    environ = os.environ
    skipped = environ.get("AWS_NO_SIGN_REQUEST") or environ.get("AWS_SKIP_SIGNATURE") or ""
    anonymous = options.get("anonymous", skipped.lower() in TRUE)
    config: dict[str, Any] = {"skip_signature": anonymous, "conditional_put": "etag"}
    config["copy_if_not_exists"] = "header:if-none-match:*"
    profile = _profile(url, options.get("profile"))
    provider: Any = None  # Any: what obstore calls for credentials
    if not anonymous and (options.get("profile") or not _in_environment()):
        if "aws_access_key_id" in profile:
            keys = {name: profile.get(key) for name, key in KEYS.items()}
            provider = lambda: {**keys, "expires_at": None}  # noqa: E731 - not by `config`, beside the environment's token
        elif MADE & profile.keys():
            provider = _boto3(url, profile["name"])
    if region := options.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"):
        config["region"] = region
    elif "region" in profile:
        config["region"] = profile["region"]
    named = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next(filter(None, [options.get("endpoint"), *map(environ.get, named), profile.get("endpoint_url")]), "")
    if endpoint:
        _check_endpoint(endpoint, shown(url))
        if options.get("virtual_host"):
            endpoint = endpoint.replace("://", f"://{bucket}.", 1)
        # The second name has the last word in obstore, the environment's AWS_ENDPOINT_URL_S3 included.
        config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
    if options.get("virtual_host"):
        config["virtual_hosted_style_request"] = True
    if options.get("requester_pays"):
        config["request_payer"] = True
    client_options = _client_options(endpoint.startswith("http://"))
    try:
        return S3Store(
            bucket,
            config=config,  # type: ignore[arg-type]  # a TypedDict, made piece by piece
            client_options=client_options,
            retry_config=_retries(patient),
            credential_provider=provider,
        )
    except (BaseError, ValueError) as error:  # its words may hold what it was given
        raise ConfigError(
            f"{shown(url)}: the settings of the store cannot be used ({type(error).__name__}); "
            "look at the AWS_ variables of the environment and at `stores` of the config"
        ) from None


def _retries(patient: bool = False) -> Any:  # Any: a TypedDict of obstore's, not importable
    budget = timedelta(seconds=seconds_of(RETRY_SECONDS, BUDGET_SECONDS))
    return {"max_retries": 4 if patient else 0, "retry_timeout": budget}


def _client_options(allow_http: bool) -> Any:  # Any: as above
    return {
        "allow_http": allow_http,
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=seconds_of(TIMEOUT_SECONDS, 60.0)),
    }


def _check_endpoint(endpoint: str, where: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query:
        raise ConfigError(f"{where}: the endpoint is to be http://host or https://host, without user and query")


KEYS = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "token": "aws_session_token",
}
MADE = {"role_arn", "sso_start_url", "sso_session", "credential_process", "source_profile", "web_identity_token_file"}


def _in_environment() -> bool:
    return bool(os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"))


def _profile(url: str, asked: str | None) -> dict[str, str]:
    """Returns the settings of a profile in the files of ~/.aws, those of credentials first; `name` is its name."""
    name = asked or os.environ.get("AWS_PROFILE") or "default"
    found, there = {"name": name}, False
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ):
        path = os.path.expanduser(os.environ.get(variable) or file)
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except configparser.Error as error:  # its words hold the line, which may be a secret
            raise ConfigError(f"{path}: is no file of profiles ({type(error).__name__})") from None
        if parser.has_section(section):
            there = True
            found |= dict(parser.items(section))
            services = f"services {found.get('services', '')}"
            of_s3 = parser.get(services, "s3", fallback="") if parser.has_section(services) else ""
            if nested := re.search(r"^\s*endpoint_url\s*=\s*(\S+)", of_s3, re.MULTILINE):
                found["endpoint_url"] = nested[1]
    if not there and name != "default" and (asked or not _in_environment()):
        raise ConfigError(f"{shown(url)}: there is no profile {name!r} in ~/.aws/credentials or ~/.aws/config")
    return found


def _boto3(url: str, profile: str) -> Any:  # Any: as `provider`
    try:
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - who has static keys does without
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            f"{shown(url)}: the profile {profile!r} makes its credentials (SSO, a role or a process), for which boto3 "
            "is needed: pip install boto3, or put keys into the environment"
        ) from None
    try:
        return Boto3CredentialProvider(boto3.Session(profile_name=profile))
    except Exception as error:  # noqa: BLE001 - of botocore, which has many
        raise ConfigError(
            f"{shown(url)}: the profile {profile!r} gives no credentials ({type(error).__name__}); log in again"
        ) from None


def _after_fork() -> None:
    """Refuses stores in the child of a process that used one: it would wait for threads that are not there."""
    global _forked, _making  # noqa: PLW0603 - a fork copies this module
    _making = threading.Lock()
    _forked = bool(_clients)


os.register_at_fork(after_in_child=_after_fork)
