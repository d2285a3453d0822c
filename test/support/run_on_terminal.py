"""Runs a program on a new terminal. Descriptor 0: what is typed. Descriptor 1: what the terminal shows.
Descriptor 3: lines "COLUMNS ROWS", each of which sets the size and is answered on descriptor 4."""
import fcntl, os, pty, select, struct, sys, termios

pid, terminal = pty.fork()
if pid == 0:
    for descriptor in (3, 4):
        os.close(descriptor)
    os.execvp(sys.argv[1], sys.argv[1:])

def copy(source, target):
    try:
        data = os.read(source, 65536)
    except OSError:
        data = b""
    rest = data
    while rest:
        rest = rest[os.write(target, rest):]
    return data != b""

sources = [0, 3, terminal]
while terminal in sources:
    for ready in select.select(sources, [], [])[0]:
        if ready == 3:
            line = os.read(3, 256)
            if not line:
                sources.remove(3)
            for size in line.split(b"\n"):
                if size:
                    columns, rows = map(int, size.split())
                    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                    os.write(4, b"x")
        elif not copy(ready, terminal if ready == 0 else 1):
            sources.remove(ready)
os.close(terminal)
os.waitpid(pid, 0)
