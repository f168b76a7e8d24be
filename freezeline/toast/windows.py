"""The current user's registry on Windows."""

import sys

if sys.platform == "win32":
    import winreg

    class CurrentUser:
        """HKEY_CURRENT_USER."""

        def write(self, key: str, name: str, value: str) -> None:
            """Set a text."""
            with winreg.CreateKeyEx(winreg.HKEY_CURRENT_USER, key, access=winreg.KEY_SET_VALUE) as opened:
                winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, value)

        def remove(self, key: str, name: str) -> bool:
            """Remove a text; False if there was none."""
            try:
                with winreg.OpenKeyEx(winreg.HKEY_CURRENT_USER, key, access=winreg.KEY_SET_VALUE) as opened:
                    winreg.DeleteValue(opened, name)
            except FileNotFoundError:
                return False
            return True
