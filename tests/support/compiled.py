"""What one application of this process compiled serves all others: a run makes some two thousand of them."""

from collections.abc import Hashable
from typing import Any, ClassVar

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Compiled, Connection, Engine, event
from werkzeug.routing import Rule


class CompiledPages(BytecodeCache):
    """What templates of pages were compiled to."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if known := self._compiled.get(bucket.key + bucket.checksum):
            bucket.bytecode_from_string(known)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


class CompiledRule(Rule):
    """A route as another application compiled it: that is nine tenths of making one."""

    _compiled: ClassVar[dict[tuple[object, ...], Rule]] = {}

    def compile(self) -> None:
        # No map of ours has converters or settings of its own; a default would become part of the code.
        first = self._compiled.setdefault((self.rule, self.subdomain, self.host, self.merge_slashes), self)
        if first is self or self.defaults or first.defaults:
            super().compile()
            return
        self._parts, self._trace, self._converters = first._parts, first._trace, first._converters
        self.arguments |= first.arguments
        self._build = first._build.__func__.__get__(self)  # type: ignore[attr-defined]  # it is a method
        self._build_unknown = first._build_unknown.__func__.__get__(self)  # type: ignore[attr-defined]


class CompiledStatements(dict[tuple[Hashable, ...], Compiled]):
    """What statements were compiled to, for every engine of a database's kind. Each has a dialect object of its own, by
    which SQLAlchemy's own caches tell them apart, and all are set up alike."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        dialect, *rest = key
        return super().get((dialect.name, *rest), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Compiled) -> None:
        dialect, *rest = key
        super().__setitem__((dialect.name, *rest), compiled)

    def serve(self) -> None:
        """From now on, for all connections of this process."""

        def use(connection: Connection) -> None:
            connection.execution_options(compiled_cache=self)

        event.listen(Engine, "engine_connect", use)
