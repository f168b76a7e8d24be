"""The per-user program behind `freezeline toast`: follows the receiver's event stream and shows native toasts."""
