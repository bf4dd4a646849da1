"""What settings are made of: groups, and the kinds of values that pydantic does not have."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

MIB = 1024 * 1024


class Group(BaseModel):
    """Settings that belong together; a name that is none of them is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def split(value: object) -> object:
    """`a, b` as the environment has it, to its parts."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _check_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable() and text and " " not in text):
        raise ValueError("a key is printable ASCII without spaces")
    return key


def _expand_address(address: str) -> str:
    return address if "://" in address else str(_expand(Path(address)))


Folder = Annotated[Path, AfterValidator(_expand)]
Key = Annotated[SecretStr, AfterValidator(_check_key)]
Address = Annotated[str, BeforeValidator(_as_text), AfterValidator(_expand_address)]
