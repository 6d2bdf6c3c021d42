"""A YAML file against typed structs: what is refused, where, and what is allowed instead."""

from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import yaml
from msgspec import Meta, Struct

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # libyaml is optional
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

Keys = tuple[str | int, ...]
Fault = tuple[Keys, str]
Positive = Annotated[float, Meta(gt=0, le=1e9)]
NonNegative = Annotated[float, Meta(ge=0, le=1e9)]
SymbolId = Annotated[
    str,
    Meta(pattern="^[A-Z0-9]{1,20}USDT$", description="a coin and USDT in capitals, as in BTCUSDT"),
]


class ConfigError(Exception):
    """One sentence: which file, which key, what is allowed."""


class _Loader(_SafeLoader):
    """Refuses a key that is there twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                problem = f"the key '{key.value}' is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """The plain data of a YAML file, {} of an empty one; raises ConfigError."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{path}:{where} {problem}; mend the YAML there") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; name a YAML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not usable YAML ({error}); mend it") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: the top level must be keys with values, such as 'log:'")
    return raw


def dotted(keys: Keys) -> str:
    """`('symbols', 3, 'id')` as `symbols[3].id`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".") or "top level"


def find_fault(kind: Any, value: Any, at: Keys = ()) -> Fault | None:
    """The first place where `value` is not a `kind`, and a sentence on what is allowed there.

    A struct's own check (`__post_init__`) may raise ValueError('key: sentence') to name its key.
    """
    origin, args = _plain(kind)
    if _is_struct(origin) and isinstance(value, dict):
        return _struct_fault(origin, value, at)
    if origin is dict and isinstance(value, dict):
        return _dict_fault(args, value, at)
    if origin in (list, tuple) and isinstance(value, list):
        kinds = args if origin is tuple else args * len(value)
        for n, (item_kind, item) in enumerate(zip(kinds, value, strict=False)):
            if fault := find_fault(item_kind, item, (*at, n)):
                return fault
    if origin is Union and isinstance(value, dict):
        for struct in filter(_is_struct, args):
            return find_fault(struct, value, at)
    return _leaf_fault(kind, value, at)


def _struct_fault(kind: type[Struct], value: dict[Any, Any], at: Keys) -> Fault | None:
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            return (*at, str(key)), no_such_key(list(fields))
    for name, field in fields.items():
        if name in value:
            if fault := find_fault(field.type, value[name], (*at, name)):
                return fault
        elif field.required:
            return (*at, name), "missing; add it"
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        key, _, sentence = str(error).split(" - at `")[0].partition(": ")
        return (*at, *key.split(".")), sentence
    return None


def _dict_fault(args: tuple[Any, ...], value: dict[Any, Any], at: Keys) -> Fault | None:
    for key, item in value.items():
        if not _converts(key, args[0]):
            names = get_args(args[0]) if get_origin(args[0]) is Literal else ()
            return (*at, str(key)), no_such_key(list(names)) if names else "keys must be text"
        if fault := find_fault(args[1], item, (*at, key)):
            return fault
    return None


def _leaf_fault(kind: Any, value: Any, at: Keys) -> Fault | None:
    if _converts(value, kind):
        return None
    sentence = f"is {_shown(value)}; must be {_allowed(msgspec.inspect.type_info(kind))}"
    # YAML takes 1e-1 for text as well as '5'.
    if isinstance(value, str) and _converts(value, float, strict=False):
        number = float(value)
        if _converts(number, kind):
            sentence += f"; written as {number:.10g}, without quotes"
    return at, sentence


def no_such_key(allowed: list[str]) -> str:
    """The sentence for a key that is unknown."""
    return f"no such key; allowed here: {', '.join(allowed)}"


def _plain(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its annotations: (struct, list, dict, tuple, Union or leaf; arguments)."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    origin = get_origin(kind) or kind
    is_union = origin is Union or type(kind).__name__ == "UnionType"
    return (Union if is_union else origin), get_args(kind)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _converts(value: Any, kind: Any, strict: bool = True) -> bool:
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        return False
    return True


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return f"the text '{value if len(value) <= 40 else value[:40] + '...'}'"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "keys with values"
    return f"a {type(value).__name__}"


def _allowed(info: Any) -> str:
    """What a type takes, in words."""
    kinds = msgspec.inspect
    match info:
        case kinds.Metadata():
            described: str | None = (info.extra_json_schema or {}).get("description")
            return described or _allowed(info.type)
        case kinds.LiteralType():
            return "one of " + ", ".join(str(v) for v in info.values)
        case kinds.IntType() | kinds.FloatType():
            return _allowed_number(info)
        case kinds.StrType():
            return "text"
        case kinds.BoolType():
            return "true or false"
        case kinds.NoneType():
            return "null"
        case kinds.UnionType():
            return " or ".join(_allowed(t) for t in info.types)
        case kinds.ListType():
            return "a list" + _between(info.min_length, info.max_length, " of ")
        case kinds.TupleType():
            return f"a list of {len(info.item_types)}"
        case kinds.StructType():
            return "keys with values: " + ", ".join(f.encode_name for f in info.fields)
    return "keys with values"


def _allowed_number(info: Any) -> str:
    text = "a whole number" if isinstance(info, msgspec.inspect.IntType) else "a number"
    if info.gt is not None:
        text += f" above {info.gt:g}" + (f", at most {info.le:.10g}" if info.le else "")
    elif info.lt is not None:
        text += f" from {info.ge:g} to below {info.lt:g}"
    else:
        text += _between(info.ge, info.le, " ")
    return text + (f" and a multiple of {info.multiple_of:g}" if info.multiple_of else "")


def _between(low: float | None, high: float | None, before: str) -> str:
    if low is not None and high is not None:
        return f"{before}from {low:.10g} to {high:.10g}".replace("of from", "of")
    if low is not None:
        return f"{before}{low:.10g} or more"
    return f"{before}at most {high:.10g}" if high is not None else ""


def is_timezone(name: str) -> bool:
    """Whether a name is 'local', UTC or one of the time zone database."""
    if name in ("local", "UTC"):
        return True
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
