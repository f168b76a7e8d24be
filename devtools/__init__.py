"""What ./dev needs beside a shell: the environment and the Prometheus tools. Standard library only."""
