"""Stand-ins for services outside: they speak the real protocols over real sockets, and fail on demand."""
