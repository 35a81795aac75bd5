"""The settings: name, default, help and parser of each. Read from the environment at start.

An invalid setting stops the start with an error that names it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from panel.core.extras import missing

_PACKAGE = Path(__file__).resolve().parent
IS_INSTALLED = (_PACKAGE / "migrations").is_dir()
"""Whether this is an installed wheel, which has the migrations inside the package, and not a checkout."""
PROJECT_ROOT = _PACKAGE if IS_INSTALLED else _PACKAGE.parent
"""The folder that contains ``migrations`` and ``docs/templates``."""
COMMAND = "leafpanel" if IS_INSTALLED else "flask --app wsgi"
"""How users start a command of the panel."""


KEY_FILES = ("secret_key", "encryption_keys")
DATABASE_FILE = "panel.sqlite3"
_SYSTEM_CA_FOLDERS = tuple(
    map(Path, ("/etc/ssl/certs", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"))
)
_DIFFERENT = 8
"""A random key of 16 characters or 32 bytes has more different ones, except once in billions of keys."""
_OWN_PATHS = frozenset(
    {"admin", "api", "embed", "healthz", "language", "metrics", "objects", "readyz", "static", ".well-known"}
)
SERVER_THREADS = 32
"""Threads of each process of the server: how many requests a process answers at the same time."""


class ConfigError(Exception):
    """A setting is invalid. The message names the setting, and never the value of a secret one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``parse`` raises ValueError with the part of the error message that follows the name."""

    name: str
    default: str
    help: str
    parse: Callable[[str], Any] = str
    secret: bool = False


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.strip().lower() not in words:
        raise ValueError("must be true or false")
    return words[text.strip().lower()]


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError("must be a port number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 3600:
        raise ValueError("must be a number of seconds")
    return value


def _deadline(text: str) -> float:
    if not 0.1 <= _seconds(text) <= 120:
        raise ValueError("must be a number of seconds from 0.1 to 120")
    return float(text)


def _is_every_address(host: str) -> bool:
    """Whether ``host`` is ``0.0.0.0`` or ``::``, in any spelling."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("must be an http(s) address without query, such as https://panel.example.org")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if _is_every_address(parts.hostname or ""):
        raise ValueError("must hold the host name that browsers use")
    _refuse_unfit(parts.path.rstrip("/"))
    return text.rstrip("/")


def _refuse_unfit(path: str) -> None:
    """A proxy may strip the path or pass it on, so it must not look like an address of the panel itself."""
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path):
        raise ValueError("may have a path of letters, digits, dots, dashes and underscores only")
    first = path.split("/")[1] if path else ""
    if first in _OWN_PATHS:
        raise ValueError(f"must not have a path that begins with /{first}, which is an address of the panel itself")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 10:
        raise ValueError("must be a number from 0 to 10")
    return int(text)


def _tool_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", text):
        raise ValueError("may have letters, digits, dot, dash and underscore only")
    return text


def _secret_key(text: str) -> str:
    if text and len(text) < 16:
        raise ValueError("must have at least 16 characters")
    if text and len(set(text)) < _DIFFERENT:
        raise ValueError(f"must have at least {_DIFFERENT} different characters")
    return text


def _database_url(text: str) -> str:
    """Raises ValueError without quoting the address, which may hold a password."""
    scheme, _, rest = text.partition("://")
    if not text or scheme == "sqlite":
        return text
    if scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ValueError("must start with postgresql+psycopg:// or sqlite:///")
    if problem := missing("psycopg", "postgresql"):
        raise ValueError(problem)
    return f"postgresql+psycopg://{rest}"


def _redis_url(text: str) -> str:
    if text and text.partition("://")[0] not in ("redis", "rediss", "unix"):
        raise ValueError("must start with redis://, rediss:// or unix://")
    if text and (problem := missing("redis", "redis")):
        raise ValueError(problem)
    return text


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Comma- or line-separated encryption keys, newest first. Raises ValueError without quoting a key."""
    words = [word.strip() for word in text.replace("\n", ",").split(",") if word.strip()]
    keys = []
    for number, word in enumerate(words, 1):
        try:
            key = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise ValueError(f"key {number} is not 32 bytes in URL-safe base64")
        keys.append(key)
    return tuple(keys)


def _encryption_keys(text: str) -> tuple[bytes, ...]:
    keys = parse_keys(text)
    for number, key in enumerate(keys, 1):
        if len(set(key)) < _DIFFERENT:
            raise ValueError(f"key {number} has fewer than {_DIFFERENT} different bytes; it is not a random key")
    return keys


def _variables(text: str) -> tuple[str, ...]:
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("must be names of environment variables, separated by commas")
        if name.startswith("PANEL_"):
            raise ValueError(f"must not name {name}: a setting of the panel does not belong in a source")
    return names


def parse_allowed(text: str) -> tuple[str, ...]:
    """Comma-separated ``host:port`` or CIDR entries. The connector decides what they open."""
    entries = tuple(word.strip() for word in text.split(",") if word.strip())
    for entry in entries:
        if not _is_cidr(entry) and not re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\s/:]+):\d{1,5}", entry):
            raise ValueError(f"has {entry!r}, which is neither host:port nor an address range such as 10.0.0.0/8")
    return entries


def _is_cidr(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry)
    except ValueError:
        return False
    return "/" in entry


SETTINGS: tuple[Setting, ...] = (
    Setting("PANEL_HOST", "127.0.0.1", "Address that the panel listens on."),
    Setting("PANEL_PORT", "8000", "Port that the panel listens on.", _port),
    Setting(
        "PANEL_PUBLIC_URL",
        "",
        "Address under which browsers reach the panel; http://HOST:PORT when empty.",
        _public_url,
    ),
    Setting(
        "PANEL_INSTANCE_DIR",
        "",
        "Folder of database and keys. When empty, `instance` in the checkout,"
        " or in the current directory for an installed package.",
    ),
    Setting(
        "PANEL_DATABASE_URL",
        "",
        "SQLAlchemy URL of the database; SQLite in the instance folder when empty.",
        _database_url,
        secret=True,
    ),
    Setting("PANEL_REDIS_URL", "", "Redis for the shared brief cache; none when empty.", _redis_url, secret=True),
    Setting(
        "PANEL_SECRET_KEY", "", "Key that signs sessions and forms; made at first start when empty.", _secret_key, True
    ),
    Setting(
        "PANEL_ENCRYPTION_KEYS",
        "",
        "Keys that encrypt credentials, comma-separated, newest first, each 32 bytes in URL-safe base64;"
        " made at first start when empty.",
        _encryption_keys,
        True,
    ),
    Setting(
        "PANEL_CONNECTOR_ENABLED",
        "true",
        "`false` switches every outgoing call off, whatever `connector on` says.",
        _boolean,
    ),
    Setting(
        "PANEL_ALLOWED_PRIVATE_HOSTS",
        "",
        "Private addresses that sources may use: comma-separated host:port, or ranges such as 10.20.0.0/16.",
        parse_allowed,
    ),
    Setting(
        "PANEL_IMPORT_VARIABLES",
        "",
        "Environment variables that ${NAME} may name in a source file imported through the web, comma-separated.",
        _variables,
    ),
    Setting(
        "PANEL_TRUSTED_PROXIES",
        "0",
        "How many servers in front of the panel add to X-Forwarded-For; it counts for nothing otherwise.",
        _count,
    ),
    Setting(
        "PANEL_CA_DIR",
        "",
        "Folder of CA files that sources may name beside those of the system; `ca` in the instance folder when empty.",
    ),
    Setting("PANEL_DEADLINE_S", "5", "Seconds in which a source must have answered, over everything.", _deadline),
    Setting("PANEL_CACHE_TTL_S", "5", "Seconds for which an upstream's answer is reused; 0 is off.", _seconds),
    Setting(
        "PANEL_REREAD_S",
        "60",
        "Seconds after which a reused list is read in full again; until then only what changed. 0 is always.",
        _seconds,
    ),
    Setting("PANEL_MCP_TOOL_NAME", "openregister.integrations", "Name under which agents see the tool.", _tool_name),
    Setting("PANEL_SANDBOX_PORT", "8001", "Port of the sandbox upstreams of `make run`.", _port),
)


@dataclass(frozen=True, slots=True)
class Config:
    """The validated settings of one process."""

    host: str
    port: int
    public_url: str
    instance_dir: Path
    database_url: str
    redis_url: str
    secret_key: str
    encryption_keys: tuple[bytes, ...]
    """Empty when the keys are in the file ``encryption_keys`` of the instance folder."""
    connector_enabled: bool
    allowed_private_hosts: tuple[str, ...]
    deadline_s: float
    cache_ttl_s: float
    reread_s: float
    mcp_tool_name: str
    sandbox_port: int
    trusted_proxies: int
    import_variables: tuple[str, ...]
    ca_folders: tuple[Path, ...]
    """The folders in which a source may name a CA file."""

    @property
    def is_encrypted(self) -> bool:
        """Whether browsers reach the panel over TLS."""
        return self.public_url.startswith("https://")

    @property
    def known_words(self) -> tuple[str, ...]:
        """The names of the product and of this panel's host, which no password may consist of."""
        host = urlsplit(self.public_url).hostname or ""
        return ("leafpanel", host, *host.split("."))

    @property
    def proxy_problem(self) -> str:
        """What to set when browsers reach the panel through a proxy that is not trusted; "" otherwise.

        The panel itself serves no TLS, so an https address is that of a proxy.
        """
        if not self.is_encrypted or self.trusted_proxies:
            return ""
        return (
            "PANEL_PUBLIC_URL is https and PANEL_TRUSTED_PROXIES is 0, so that all people behind the proxy share its"
            " address. Set PANEL_TRUSTED_PROXIES to the number of proxies in front of the panel."
        )

    def cookie(self, name: str) -> str:
        """The name of a cookie. Over TLS it has the prefix ``__Host-``, so that no other host can set it."""
        return f"__Host-{name}" if self.is_encrypted else name

    @property
    def keys_file(self) -> Path:
        return self.instance_dir / "encryption_keys"

    @property
    def sandbox_note(self) -> Path:
        """The file in which ``make run`` stores the sandbox's host:port while it runs."""
        return self.instance_dir / "sandbox"


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Read and check the settings. The first start creates folder and keys. Raises ConfigError naming the setting."""
    values = {setting.name: _read(setting, os.environ if environ is None else environ) for setting in SETTINGS}
    instance = Path(values["PANEL_INSTANCE_DIR"] or _default_instance()).absolute()
    host = values["PANEL_HOST"]
    if _is_every_address(host) and not values["PANEL_PUBLIC_URL"]:
        raise ConfigError(f"PANEL_HOST {host} listens on every address: set PANEL_PUBLIC_URL to the one for browsers.")
    _prepare(instance)
    shown_host = f"[{host}]" if ":" in host else host
    return Config(
        host=host,
        port=values["PANEL_PORT"],
        public_url=values["PANEL_PUBLIC_URL"] or f"http://{shown_host}:{values['PANEL_PORT']}",
        instance_dir=instance,
        database_url=values["PANEL_DATABASE_URL"] or f"sqlite:///{instance / DATABASE_FILE}",
        redis_url=values["PANEL_REDIS_URL"],
        secret_key=values["PANEL_SECRET_KEY"] or _own_secret_key(instance / "secret_key"),
        encryption_keys=values["PANEL_ENCRYPTION_KEYS"],
        connector_enabled=values["PANEL_CONNECTOR_ENABLED"],
        allowed_private_hosts=values["PANEL_ALLOWED_PRIVATE_HOSTS"],
        deadline_s=values["PANEL_DEADLINE_S"],
        cache_ttl_s=values["PANEL_CACHE_TTL_S"],
        reread_s=values["PANEL_REREAD_S"],
        mcp_tool_name=values["PANEL_MCP_TOOL_NAME"],
        sandbox_port=values["PANEL_SANDBOX_PORT"],
        trusted_proxies=values["PANEL_TRUSTED_PROXIES"],
        import_variables=values["PANEL_IMPORT_VARIABLES"],
        ca_folders=(Path(values["PANEL_CA_DIR"] or instance / "ca").absolute(), *_SYSTEM_CA_FOLDERS),
    )


def _default_instance() -> Path:
    """An installed package keeps no data among its own files, which the next installation replaces."""
    return Path("instance") if IS_INSTALLED else PROJECT_ROOT / "instance"


def _read(setting: Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(setting.name, "")
    file_name = environ.get(f"{setting.name}_FILE", "") if setting.secret else ""
    if file_name:
        if text:
            raise ConfigError(f"{setting.name} and {setting.name}_FILE are both set; keep one.")
        try:
            text = Path(file_name).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"{setting.name}_FILE names a file that cannot be read.") from exc
    try:
        return setting.parse(text or setting.default)
    except ValueError as exc:
        raise ConfigError(f"{setting.name} {exc}.") from None


def _prepare(instance: Path) -> None:
    """Create the folder, and let nobody else read its database, whatever the mode of the folder.

    From here on, all files that this process creates are for its own account only.
    """
    os.umask(0o077)
    try:
        instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"PANEL_INSTANCE_DIR {instance} cannot be used: {exc.strerror}.") from None
    if not any((instance / name).exists() for name in (*KEY_FILES, DATABASE_FILE)):
        # A folder that cannot be written is reported where a file of it is needed.
        with suppress(OSError):
            new_marker(instance).touch(mode=0o600)
    for path in instance.glob("*.sqlite3*"):
        _make_private(path)


def new_marker(instance: Path) -> Path:
    """The file that says, until the first migration, that the keys of the folder never had a database."""
    return instance / ".new"


def _make_private(path: Path) -> None:
    """Take the rights of others from a database of before. ``doctor`` reports one that belongs to another account."""
    with suppress(OSError):
        mode = path.stat().st_mode
        if mode & 0o077:
            path.chmod(stat.S_IMODE(mode) & 0o700)


def _own_file(path: Path, make: Callable[[], str]) -> str:
    """The text of a file in the instance folder, which is created with mode 0600 if missing.

    It is created atomically, so that processes that start together read the same text.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(make() + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
            sync_folder(path.parent)
        except OSError as exc:
            raise ConfigError(f"PANEL_INSTANCE_DIR {path.parent} cannot be written: {exc.strerror}.") from None
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} may be read by others; set its mode to 0600.")
        return path.read_text("utf-8").strip()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from None


def _own_secret_key(path: Path) -> str:
    try:
        key = _secret_key(_own_file(path, lambda: secrets.token_urlsafe(48)) or "-")
    except ValueError as exc:
        raise ConfigError(
            f"The file {path} is damaged: the key {exc}. Restore it, or delete it to end all sessions."
        ) from None
    return key


def sync_folder(folder: Path) -> None:
    """Make a new or renamed file of a folder durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def new_encryption_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def own_keys(config: Config) -> str:
    """The text of the instance's key file, which is created at the first use."""
    return _own_file(config.keys_file, new_encryption_key)
