"""What one application of this process compiled serves all others: a run makes some two thousand of them."""

from collections.abc import Callable, Hashable
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
    """A route whose URL is built by code that was compiled before, which is nine tenths of making an application."""

    _builders: ClassVar[dict[object, Callable[..., tuple[str, str]]]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        if self.defaults:  # they would be part of the code, and no route of ours has any
            return super()._compile_builder(append_unknown)
        made_of = (self.rule, *self._trace, append_unknown)
        if made_of not in self._builders:
            self._builders[made_of] = super()._compile_builder(append_unknown)
        return self._builders[made_of]


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
