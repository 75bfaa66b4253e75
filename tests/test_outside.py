"""Outside notebooks: in the threads of a web server, in an asyncio server, under pytest; logging instead of panels."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

#: What a program does, and what it prints. No main module here guards itself against being imported again.
PROGRAMS = {
    "the threads of a web server": (
        """
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        from urllib.request import urlopen
        def page(path):
            if path == "/slow": time.sleep(60)
            return f"hello {path}"
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                text = timeout(1, default="too slow", kill_after=0).run(page, self.path)
                self.send_response(200); self.end_headers(); self.wfile.write(text.encode())
            def log_message(self, *args): pass
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        get = lambda path: urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=30).read().decode()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            print(list(pool.map(get, ["/1", "/slow", "/2", "/3"])))
        server.shutdown()
        """,
        ["['hello /1', 'too slow', 'hello /2', 'hello /3']"],
    ),
    "an asyncio server": (
        """
        def work(text):
            if text == "slow": time.sleep(60)
            return text.upper()
        async def serve(reader, writer):
            text = (await reader.readline()).decode().strip()
            writer.write((await timeout(1, default="too slow", kill_after=0).arun(work, text)).encode() + b"\\n")
            await writer.drain(); writer.close()
        async def ask(port, text):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(text.encode() + b"\\n")
            answer = (await reader.readline()).decode().strip(); writer.close()
            return answer
        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            print(await asyncio.gather(*(ask(port, text) for text in ("a", "slow", "b"))))
            server.close()
        asyncio.run(main())
        """,
        ["['A', 'too slow', 'B']"],
    ),
    "logging": (
        """
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s %(message).60s")
        def work(): pass
        run_with_timeout(20, work)
        timeout(0.3, default=None).run(time.sleep, 60)
        submit(20, work).result()
        """,
        ["INFO ipytimeout work: ✓ ", "INFO ipytimeout sleep: ✗ timed out after 300 ms", "INFO ipytimeout work: ✓ "],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_server_or_a_program_with_a_log_works(tmp_path: Path, name: str) -> None:
    """And says nothing on stderr, and ends."""
    code, lines = PROGRAMS[name]
    file = tmp_path / "program.py"
    header = "import asyncio, concurrent.futures, logging, sys, threading, time\nfrom ipytimeout import *\n"
    file.write_text(header + textwrap.dedent(code))
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=100)
    assert done.stderr == ""
    printed = done.stdout.splitlines()
    assert len(printed) == len(lines) and all(map(str.startswith, printed, lines)), done.stdout


def test_it_works_under_pytest(tmp_path: Path) -> None:
    """With output captured, and with functions and fixtures of the test module."""
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            import os, time, pytest
            from ipytimeout import DeadlineExceeded, run_with_timeout, timeout
            def work(x):
                print("from the child")
                return x, os.getpid()
            def test_value(capsys):
                value, pid = run_with_timeout(20, work, 3)
                assert value == 3 and pid != os.getpid()
                assert capsys.readouterr().out == "from the child\\n"
            @pytest.mark.parametrize("n", [1, 2])
            def test_deadline(n):
                with pytest.raises(DeadlineExceeded):
                    timeout(0.2).run(time.sleep, 60)
            def test_assertion():
                def fails(): assert 1 == 2
                with pytest.raises(AssertionError):
                    run_with_timeout(20, fails)
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr
