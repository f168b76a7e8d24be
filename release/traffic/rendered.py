"""Moves traffic by a file that a proxy reads: nginx, Traefik, Envoy.

The file comes from a template and takes the old file's place at once. A command makes the proxy read the file, and
another command asks the running proxy for the share that it uses. The adapter believes only the second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from receiver.act import flagfile
from receiver.run.commands import Answer, ask
from release.policy.canary import RenderedFile
from release.traffic import template
from release.traffic.adapter import TrafficError
from release.traffic.percentage import percentage_of

POLL_S = 0.1
"""How often the running proxy is asked while it takes a new file up."""


class Rendered:
    """One file of one proxy. `environment` is what the commands see."""

    def __init__(self, spec: RenderedFile, environment: Mapping[str, str]) -> None:
        self._spec = spec
        self._file = Path(spec.file)
        self._environment = environment

    async def check(self, *, before_deploy: bool = False) -> tuple[str, ...]:  # noqa: ARG002 - the adapters' protocol
        """Reasons against the template, the file's directory, and a file that another program writes."""
        reasons = list(template.objections(await self._template(), self._spec.users))
        if not os.access(self._file.parent, os.W_OK | os.X_OK):
            reasons.append(f"{self._file.parent} cannot be written, so no new file can take the place of the old file")
        weight = await self.read()
        if await self._on_disk() != await self._rendered(weight):
            reasons.append(
                f"{self._file} is not what the template gives for {weight:.2%}, which the proxy uses: "
                "another program writes the file, or the template has changed"
            )
        return tuple(reasons)

    async def read(self) -> Decimal:
        """The share that the running proxy uses, as `read` prints the share."""
        answer = await self._run(self._spec.read)
        return percentage_of(answer.output, self._spec.read[0])

    async def set(self, weight: Decimal) -> None:
        """Write the file, make the proxy read the file, and ask the proxy until it uses the weight.

        If the proxy refuses the file, the old file comes back. If the proxy does not use a higher weight in time, the
        old file comes back too. A file with a lower weight stays: whatever reads the file next is on the safe side.
        """
        text = await self._rendered(weight)
        before, old = await self._before(weight), await self._on_disk()
        if before == weight and old == text:
            return
        await self._write(text)
        try:
            await self._run(self._spec.reload)
        except TrafficError as error:
            kept = await self._put_back(old)
            raise TrafficError(f"{error}, so the proxy has not taken {self._file} up; {kept}") from error
        found = await self._until(weight)
        if found == weight:
            return
        said = f"the proxy uses the weight {found:.2%}, not {weight:.2%}"
        if weight <= before:
            raise TrafficError(f"{said}; {self._file} has the lower weight")
        kept = await self._put_back(old)
        with contextlib.suppress(TrafficError):
            await self._run(self._spec.reload)  # What the proxy uses then is read at the next look.
        raise TrafficError(f"{said}; {kept}")

    async def _before(self, weight: Decimal) -> Decimal:
        """The share in use. Weight 0 is written although nobody can read the share, which then counts as the whole."""
        try:
            return await self.read()
        except TrafficError:
            if weight > 0:
                raise
            return Decimal(1)

    async def cut(self) -> None:
        """Weight 0 without chosen users, read back; then `cut` ends the connections that the canary still has."""
        await self.set(Decimal(0))
        if self._spec.cut:
            await self._run(self._spec.cut)

    async def _until(self, weight: Decimal) -> Decimal:
        """Ask the proxy until it uses a weight, or until the time is over. The answer is the last share."""
        end = asyncio.get_running_loop().time() + self._spec.timeout_s
        while (found := await self.read()) != weight:
            if asyncio.get_running_loop().time() >= end:
                break
            await asyncio.sleep(POLL_S)
        return found

    async def _put_back(self, old: str | None) -> str:
        """The old file takes the new one's place again. The answer says so."""
        if old is None:
            await asyncio.to_thread(self._file.unlink)
            return f"{self._file} is removed again"
        await self._write(old)
        return f"{self._file} is the old file again"

    async def _rendered(self, weight: Decimal) -> str:
        return template.render(await self._template(), weight, self._spec.users)

    async def _template(self) -> str:
        return await self._text(Path(self._spec.template))

    async def _on_disk(self) -> str | None:
        return await self._text(self._file) if await asyncio.to_thread(self._file.exists) else None

    async def _text(self, path: Path) -> str:
        try:
            return await asyncio.to_thread(path.read_text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TrafficError(f"{path} cannot be read: {error}") from error

    async def _write(self, text: str) -> None:
        try:
            await asyncio.to_thread(_replace, self._file, text)
        except OSError as error:
            raise TrafficError(f"{self._file} cannot be written: {error.strerror}") from error

    async def _run(self, argv: tuple[str, ...]) -> Answer:
        answer = await ask(argv, timeout_s=self._spec.timeout_s, env=self._environment)
        if not answer.ok:
            raise TrafficError(answer.why)
        return answer


def _replace(path: Path, text: str) -> None:
    """A temporary file beside the old file, fsync, rename, fsync of the directory. Readers see the old or the new."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flagfile.write_in(directory, path.name, text.encode())
    finally:
        os.close(directory)
