"""Reading a study's YAML file, with errors of one line that name the key and the remedy."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from defectscape.domain.errors import ConfigError
from defectscape.settings.base import Settings
from defectscape.settings.effort import proposed
from defectscape.settings.paths import home
from defectscape.settings.study import Study

S = TypeVar("S", bound=Settings)


def read_yaml(path: Path) -> dict[str, Any]:
    """The file as plain data.

    Raises:
        ConfigError: if it is missing, unreadable, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("config file", str(path), "There is no such file; check the path") from None
    except UnicodeDecodeError as error:
        reason = f"It is not UTF-8 text ({error.reason}); save it as UTF-8"
        raise ConfigError("config file", str(path), reason) from error
    except OSError as error:
        raise ConfigError("config file", str(path), f"It cannot be read: {error}") from error
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        hint = "; indent with spaces, YAML takes no tabs" if "'\\t'" in str(error) else ""
        raise ConfigError("config file", str(path), f"It is not valid YAML: {error}{hint}") from error
    if not isinstance(data, dict):
        raise ConfigError("config file", str(path), "It must be a mapping of keys to values")
    return data


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML silently keeps the last of two equal keys; a study must not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # "<<" merges another mapping, whose keys may be given again.
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=deep) for key in own]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"key {key!r} is given twice in the mapping at line {line}")
        return super().construct_mapping(node, deep=deep)


_NUMBERS = {
    "int": r"^[-+]?(?:0|[1-9][0-9_]*)$",
    "float": r"^[-+]?(?:(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)[eE][-+]?[0-9]+|(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)|"
    r"\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$",
}
"""Numbers as people, YAML 1.2 and JSON write them. YAML 1.1 takes 1e-2 and 1.0e18 for text, 0400 for the octal 256
and 1:30 for 90: the first are numbers here, and the others are not."""


def _take_numbers_as_written() -> None:
    kept = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _NUMBERS]
        for first, resolvers in _UniqueKeyLoader.yaml_implicit_resolvers.items()
    }
    _UniqueKeyLoader.yaml_implicit_resolvers = kept
    for name, pattern in _NUMBERS.items():
        _UniqueKeyLoader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(pattern), list("-+0123456789."))


_take_numbers_as_written()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _known_keys(location: tuple[int | str, ...], kind: type[BaseModel]) -> list[str]:
    """The keys allowed where an unknown one was found."""
    choices: list[type[BaseModel]] = [kind]
    for part in location[:-1]:
        tagged = [model for model in choices if _tag(model) == part]
        fields = [model.model_fields[part] for model in choices if part in model.model_fields]
        if tagged:
            choices = tagged
        elif fields:
            choices = _models_in(fields[0].annotation)
    return list(choices[0].model_fields) if choices else []


def _tag(model: type[BaseModel]) -> str | None:
    """The value of ``kind`` that chooses this class in a union."""
    kind = model.model_fields.get("kind")
    return None if kind is None else str(get_args(kind.annotation)[0])


def _key(error: ErrorDetails, data: Any) -> str:
    """The key as it stands in the file: pydantic puts the tags of unions in between."""
    parts: list[str] = []
    location = error["loc"]
    for place, part in enumerate(location):
        absent = isinstance(data, dict) and part not in data
        if absent and not (error["type"] == "missing" and place == len(location) - 1):
            continue
        parts.append(str(part))
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
    return ".".join(parts) or "study"


def _explain(error: ErrorDetails, path: Path, data: dict[str, Any], kind: type[BaseModel], page: str) -> ConfigError:
    location = error["loc"]
    key = _key(error, data)
    if error["type"] == "extra_forbidden":
        known = _known_keys(location, kind)
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}"
        return ConfigError(f"{path}: unknown key", key, hint)
    if error["type"] == "missing":
        effort = ", or give `effort`, which sets it" if kind is Study and "effort" not in data and proposed(key) else ""
        return ConfigError(f"{path}: missing key", key, f"Add it{effort}; {page} describes it")
    message = error["msg"].removeprefix("Value error, ") + _about_quotes(error)
    return ConfigError(f"{path}: {key}", repr(error["input"])[:80], message)


def _about_quotes(error: ErrorDetails) -> str:
    """What to do where YAML and the user mean different kinds of value."""
    kind, value = error["type"], error["input"]
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; write it in quotes, as YAML reads it as something else"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return "; write it as 0.01, 1e-2 or 400, without quotes"
    if kind == "int_type" and isinstance(value, float):
        return "; write it without a point or exponent, as 400"
    return ""


FILL_IN = "FILL_IN"
"""What `defectscape new` writes where only the user knows the value."""


def _open_keys(data: Any, where: str = "") -> Iterator[str]:
    """Keys whose values are still to be filled in."""
    if data == FILL_IN:
        yield where
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield from _open_keys(value, f"{where}.{key}" if where else str(key))


def read_study(path: Path) -> Study:
    """Read and validate a study, with its paths as they are written.

    Raises:
        ConfigError: naming the first wrong key, its value and what is expected.
    """
    return load_settings(path, Study, "config/README.md")


def full_yaml(study: Study) -> str:
    """A study with every key that it has, its effort's and the defaults, as YAML; it reads as the same study."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False)


def load_study(path: Path) -> Study:
    """Read and validate a study; its paths can be used from the working directory.

    Raises:
        ConfigError: as ``read_study``.
    """
    return load_settings(path, Study, "config/README.md", home(read_study(path), path))


def load_settings(path: Path, kind: type[S], page: str, folder: Path = Path()) -> S:
    """Read and validate a file of settings; errors as ``load_study``.

    Args:
        path: YAML file.
        kind: class of the settings.
        page: where its keys are described.
        folder: what the paths in it are relative to.
    """
    data = read_yaml(path)
    still_open = list(_open_keys(data))
    if still_open:
        raise ConfigError(
            f"{path}: {', '.join(still_open)}", FILL_IN, f"Write your values there; {page} describes them"
        )
    try:
        return kind.model_validate(data, context={"folder": folder})
    except ValidationError as found:
        errors = found.errors(include_url=False)
        # A misspelt key is both unknown and missing; the unknown one says which was meant.
        errors.sort(key=lambda error: error["type"] != "extra_forbidden")
        raise _explain(errors[0], path, data, kind, page) from None
