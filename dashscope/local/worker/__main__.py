"""``python -m dashscope.local.worker [DESCRIPTOR]``: run the jobs of a model.

``DESCRIPTOR`` is the read end of the lifeline (see ``lifeline``). Without it, this process forks
workers, one for each request of the server (see ``fork_server``).
"""

import sys

if __name__ == "__main__":
    from dashscope.local.worker import fork_server, runner

    runner.main(int(sys.argv[1]) if sys.argv[1:] else fork_server.run())
