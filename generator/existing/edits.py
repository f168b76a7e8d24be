"""Insertions into an existing file: between marks, indented like their neighbours, with every other byte kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml
from msgspec import Struct, field

from freezeline.problems import Problems
from generator.existing.document import Document, entry
from generator.existing.lines import BEGIN, END, Line, add_in_brackets, join, usual_end
from generator.text.yaml_text import Plain, emit


class _Insertion(Struct, frozen=True, kw_only=True):
    """Texts to add before the line of this index."""

    line: int
    texts: list[str]


class Edits(Struct):
    """The changes of one document. `texts` are the user's lines, some of them with an item more."""

    document: Document
    problems: Problems
    texts: list[str] = field(default_factory=list)
    insertions: list[_Insertion] = field(default_factory=list)
    appended: list[str] = field(default_factory=list)  # new sections, for the end of the document

    def __post_init__(self) -> None:
        self.texts = [line.text for line in self.document.lines]

    def fail(self, code: str, node: yaml.Node, message: str, hint: str) -> None:
        """Report a part of the file that cannot be edited."""
        self.problems.add(code, self.document.position(node), message, hint)

    def prepend(self, parent: yaml.MappingNode, key: str, items: Sequence[Plain]) -> None:
        """Insert items before those of the list `key`; make the list if it is missing."""
        if not items:
            return
        found = entry(parent, key)
        if found is None:
            self._add_key(parent, key, items)
            return
        key_node, value = found
        if not _is_null(value) and not isinstance(value, yaml.SequenceNode):
            hint = "correct the file: `amtool check-config` names the error"
            self.fail("merge/type", value, f"{key} is not a list", hint)
        elif isinstance(value, yaml.SequenceNode) and value.flow_style and value.value:
            self._prepend_in_brackets(key, value, items)
        elif self._opened(key_node, value):
            block = isinstance(value, yaml.SequenceNode) and not value.flow_style
            column = value.start_mark.column if block else key_node.start_mark.column + 2
            self._insert(key_node.start_mark.line + 1, column, emit(items))

    def _prepend_in_brackets(self, key: str, value: yaml.SequenceNode, items: Sequence[Plain]) -> None:
        """A list of file names is usually in brackets. Other lists in brackets are refused."""
        if key != "templates":
            self.fail(
                "merge/flow", value, f"{key} is a list in brackets", "write the list with one `- ` line for each item"
            )
            return
        start = value.start_mark
        for item in reversed(items):
            self.texts[start.line] = add_in_brackets(self.texts[start.line], start.column + 1, str(item))

    def _opened(self, key_node: yaml.Node, value: yaml.Node) -> bool:
        """Whether lines below the key are the key's value; `[]` and `{}` are removed for this."""
        if not isinstance(value, yaml.CollectionNode) or not value.flow_style:
            return True
        start, end = value.start_mark, value.end_mark
        if start.line != end.line or key_node.start_mark.line != start.line:
            self.fail("merge/flow", value, "empty brackets stand on several lines", "write `[]` behind the key")
            return False
        text = self.texts[start.line]
        self.texts[start.line] = (text[: start.column].rstrip() + text[end.column :]).rstrip(" ")
        return True

    def surround(self, parent: yaml.MappingNode, key: str, first: Sequence[Plain], last: Sequence[Plain]) -> None:
        """Insert items before and after those of the list `key`."""
        found = entry(parent, key)
        if found is None or not isinstance(found[1], yaml.SequenceNode) or found[1].flow_style:
            self.prepend(parent, key, [*first, *last])
            return
        self.prepend(parent, key, first)
        if last:
            self._insert(_last_line(found[1]) + 1, found[1].start_mark.column, emit(last))

    def add_keys(self, key: str, values: Mapping[str, Plain]) -> None:
        """Add these keys to a top-level mapping that lacks them."""
        found = entry(self.document.root, key)
        if found is None:
            self._add_key(self.document.root, key, values)
            return
        key_node, section = found
        if _is_null(section) or (isinstance(section, yaml.MappingNode) and section.flow_style and not section.value):
            if self._opened(key_node, section):
                self._insert(key_node.start_mark.line + 1, key_node.start_mark.column + 2, emit(values))
        else:
            self._insert_at_top(key, section, emit(values))

    def _add_key(self, parent: yaml.MappingNode, key: str, items: Plain) -> None:
        """A new list or mapping, at the end of the document or at the top of the mapping around it."""
        body = [f"{key}:", *emit(items, "  ")]
        root = self.document.root
        if parent is not root:
            name = next(str(key_node.value) for key_node, value in root.value if value is parent)
            self._insert_at_top(name, parent, body)
        elif root.flow_style:
            self.fail("merge/flow", root, "the file is written in braces", "write one line for each key")
        else:
            indent = " " * root.start_mark.column
            self.appended += [indent + text for text in (BEGIN, *body, END)]

    def _insert_at_top(self, key: str, mapping: yaml.Node, body: Sequence[str]) -> None:
        """Insert before the first key of a top-level section, and before the comments above that key."""
        key_node = next(key_node for key_node, value in self.document.root.value if value is mapping)
        if not isinstance(mapping, yaml.MappingNode) or mapping.flow_style or not mapping.value:
            hint = "write the section with one line for each key"
            self.fail("merge/flow", mapping, f"the section {key} is written in brackets", hint)
        else:
            self._insert(key_node.start_mark.line + 1, mapping.value[0][0].start_mark.column, body)

    def _insert(self, line: int, column: int, body: Sequence[str]) -> None:
        indent = " " * column
        self.insertions.append(_Insertion(line=line, texts=[indent + text for text in (BEGIN, *body, END)]))

    def result(self) -> str:
        """The user's lines with Freezeline's."""
        kept, newline = self.document.lines, usual_end(self.document.lines)
        lines = [Line(text=text, end=line.end, number=0) for text, line in zip(self.texts, kept, strict=True)]
        insertions = list(self.insertions)
        if self.appended:
            insertions.append(_Insertion(line=self.document.end, texts=self.appended))
        # From the last line to the first, so that no insertion moves the line of another one.
        order = sorted(range(len(insertions)), key=lambda index: (insertions[index].line, index), reverse=True)
        for one in (insertions[index] for index in order):
            if one.line == len(lines) and lines and not lines[-1].end:
                lines[-1] = Line(text=lines[-1].text, end=newline, number=0)
            lines[one.line : one.line] = [Line(text=text, end=newline, number=0) for text in one.texts]
        return join(lines)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "plain" and node.value in ("", "~", "null", "Null", "NULL")


def _last_line(node: yaml.Node) -> int:
    """The last line that belongs to a node, without comments and blank lines after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        return max(_last_line(part) for part in parts)
    if node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line:
        return int(node.end_mark.line) - 1  # a block scalar ends where the next line begins
    return int(node.end_mark.line)
