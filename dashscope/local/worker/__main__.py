"""``python -m dashscope.local.worker DESCRIPTOR [supervised]``: start the runner of a model.

``DESCRIPTOR`` is the read end of the lifeline (see ``lifeline``). With ``supervised``, a supervisor
becomes the parent process of the runner.
"""

import sys

if __name__ == "__main__":
    descriptor = int(sys.argv[1])
    if "supervised" in sys.argv[2:]:
        # Fork before the imports of the runner, so that the supervisor stays small.
        from dashscope.local.worker import supervisor

        supervisor.start(descriptor)
    from dashscope.local.worker import runner

    runner.main(descriptor)
