"""A desktop without a screen: a private D-Bus session bus and a notification service on it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from dbus_fast.aio.message_bus import MessageBus
from dbus_fast.annotations import DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method, dbus_signal
from msgspec import Struct

DBUS_DAEMON = shutil.which("dbus-daemon")
Texts = Annotated[list[str], DBusSignature("as")]
Hints = Annotated[dict[str, Any], DBusSignature("a{sv}")]
Server = Annotated[list[str], DBusSignature("ssss")]
Click = Annotated[list[int | str], DBusSignature("us")]
Closing = Annotated[list[int], DBusSignature("uu")]


class Shown(Struct, frozen=True, kw_only=True):
    """One native toast as the desktop got it."""

    id: int
    title: str
    text: str
    urgency: int


class Notifications(ServiceInterface):
    """org.freedesktop.Notifications, as desktops implement it."""

    def __init__(self) -> None:
        super().__init__("org.freedesktop.Notifications")
        self.shown: list[Shown] = []

    @dbus_method("GetCapabilities")
    def capabilities(self) -> Texts:
        """Say what toasts may hold."""
        return ["actions", "body", "body-markup"]

    @dbus_method("GetServerInformation")
    def server(self) -> Server:
        """Say who shows them."""
        return ["test", "test", "1", "1.2"]

    @dbus_method("Notify")
    def notify(  # noqa: PLR0917 - the interface's own
        self,
        app: DBusStr,
        replaces: DBusUInt32,
        icon: DBusStr,
        title: DBusStr,
        text: DBusStr,
        actions: Texts,
        hints: Hints,
        timeout: DBusInt32,
    ) -> DBusUInt32:
        """Show a toast."""
        shown = Shown(id=len(self.shown) + 1, title=title, text=text, urgency=hints["urgency"].value)
        self.shown.append(shown)
        return shown.id

    @dbus_method("CloseNotification")
    def close(self, number: DBusUInt32) -> None:
        """Close a toast."""

    @dbus_signal("ActionInvoked")
    def click(self, number: int) -> Click:
        """Tell that a toast was clicked."""
        return [number, "default"]

    @dbus_signal("NotificationClosed")
    def closed(self, number: int) -> Closing:
        """Tell that a toast is gone."""
        return [number, 2]


@asynccontextmanager
async def session_bus() -> AsyncIterator[str]:
    """Run a bus of our own; give its address."""
    assert DBUS_DAEMON is not None
    daemon = await asyncio.create_subprocess_exec(
        DBUS_DAEMON, "--session", "--nofork", "--nopidfile", "--print-address", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert daemon.stdout is not None
        line = await asyncio.wait_for(daemon.stdout.readline(), 10)
        yield line.decode().strip()
    finally:
        daemon.terminate()
        await daemon.wait()


@asynccontextmanager
async def notification_service(address: str) -> AsyncIterator[Notifications]:
    """Offer a notification service on the bus."""
    bus = await MessageBus(bus_address=address).connect()
    service = Notifications()
    bus.export("/org/freedesktop/Notifications", service)
    await bus.request_name("org.freedesktop.Notifications")
    try:
        yield service
    finally:
        bus.disconnect()
