"""Runs jobs: queues them, assigns them to workers, cancels them, and records their results.

A job's row changes at most three times: when it is created, started and finished. Each change is
one transaction. Output and logs stay in memory until the job finishes.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Generator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from dashscope.local.jobs.processes import Setup, Worker, WorkerError
from dashscope.local.jobs.runs import Listener, Run
from dashscope.local.jobs.worker_pool import IDLE_LIMIT, MAX_IDLE, WorkerPool, WorkerProcesses
from dashscope.local.models.catalog import Catalog, ModelsError
from dashscope.local.models.code import describe
from dashscope.local.models.references import References
from dashscope.local.models.signature import InputError
from dashscope.local.store import Store
from dashscope.local.store.folder import (
    DataFolder,
    Signer,
    expiry_of_new_file,
    remove,
    remove_empty,
)
from dashscope.local.values import (
    ORIGIN,
    Job,
    Version,
    new_id,
    now,
    parse_timestamp,
    timestamp,
)

logger = logging.getLogger("dashscope.local")

RETRY_AFTER: Final = 1
"""Seconds that a client should wait before it retries a create."""

RECORD_RETRY: Final = 0.5
"""Seconds between attempts to record the end of a job while the disk is full."""

INTERRUPTED: Final = "The server stopped while this job was running. Create the job again."


class QueueFullError(Exception):
    """The queue of a version is full."""


class StoppingError(Exception):
    """The server is shutting down and accepts no new jobs."""


class Engine:
    """The unfinished jobs, and the worker pools that run them."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        folder: DataFolder,
        signer: Signer,
        references: References,
        queue_limit: int,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._folder = folder
        self._signer = signer
        self._references = references
        self._queue_limit = queue_limit
        self._runs: dict[str, Run] = {}
        self._pools: dict[str, WorkerPool[Run]] = {}
        self._processes = WorkerProcesses()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.listeners: list[Listener] = []

    # Operations of the API.

    def create(self, version: Version, values: dict[str, Any]) -> Run:
        """Create a job with a validated input and add it to the queue of its version.

        Raises:
            QueueFullError: The queue of the version is full.
            StoppingError: The server is shutting down.
            ModelsError: The version's code cannot be loaded.
        """
        if self._stopping:
            raise StoppingError
        pool = self._pool(version)
        if len(pool.queue) >= self._queue_limit:
            raise QueueFullError
        with self._store.transaction():
            job = self._store.jobs.create(
                {
                    "id": new_id(),
                    "status": "starting",
                    "version": version.id,
                    "model": version.model,
                    "created_at": timestamp(now()),
                    **values,
                }
            )
            self._store.models.count_run(version.model)
        return self._enqueue(pool, job)

    def run_of(self, job_id: str) -> Run | None:
        """Return the run of an unfinished job, or None."""
        return self._runs.get(job_id)

    def cancel(self, job: Job, status: str = "canceled") -> Job:
        """Cancel a job. A finished job does not change."""
        run = self._runs.get(job.id)
        if run is None:
            return job if job.finished else self._finish_without_run(job, status)
        worker, acquiring = run.worker, run.acquiring
        with contextlib.suppress(ValueError):
            self._pools[job.version].queue.remove(run)
        self._finish(run, status)
        if worker is not None:
            worker.kill()
        if acquiring is not None:
            # The worker may hang while it loads the model.
            acquiring.cancel()
        return run.job

    async def delete_version(self, version: Version) -> None:
        """Delete a version, its jobs and their files."""
        jobs = self._store.jobs.of_version(version.id)
        for job in jobs:
            self.cancel(job)
        with self._store.transaction():
            for job in jobs:
                for file in self._store.files.of_job(job.id):
                    (self._folder.files / file.id).unlink(missing_ok=True)
                    self._store.files.delete(file)
                self._store.jobs.delete(job)
            self._store.models.delete_version(version)
        self._catalog.forget(version)
        pool = self._pools.pop(version.id, None)
        if pool is not None:
            await pool.stop()

    async def reload(self, versions: Iterable[Version]) -> None:
        """Load the code of versions again for their next jobs. Running jobs are not affected."""
        pools = [self._pools[version.id] for version in versions if version.id in self._pools]
        await asyncio.gather(*(pool.reload() for pool in pools))

    # Start and stop.

    def recover(self) -> None:
        """Queue the jobs that an earlier server left queued, and fail those it left running."""
        for job in self._store.jobs.unfinished():
            if job.status != "starting":
                self._finish_without_run(job, "failed", INTERRUPTED)
                continue
            try:
                self._enqueue(self._pool(self._version_of(job)), job)
            except ModelsError as error:
                self._finish_without_run(job, "failed", str(error))
        self._processes.prepare()

    async def drain(self, seconds: float) -> None:
        """Start no more jobs, and wait up to ``seconds`` for the running ones."""
        self._stopping = True
        if self._tasks and seconds > 0:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def stop(self) -> None:
        """Stop all jobs. Running jobs fail; queued jobs stay queued for the next start."""
        self._stopping = True
        for run in list(self._runs.values()):
            if run.deadline is not None:
                run.deadline.cancel()
            worker = run.worker
            if run.job.status != "starting":
                self._finish(run, "failed", INTERRUPTED)
            if worker is not None:
                worker.kill()
            # A job that stays queued will not finish here, so wake everyone who waits for it.
            run.finished.set()
            run.notify()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._processes.stop()

    async def stop_idle(self) -> None:
        """Stop the workers that have been idle for too long."""
        since = time.monotonic() - IDLE_LIMIT
        waiting = sorted(at for pool in self._pools.values() for at in pool.idle_since)
        if len(waiting) > MAX_IDLE:
            since = max(since, waiting[-MAX_IDLE - 1])
        await asyncio.gather(*(pool.stop(since) for pool in list(self._pools.values())))

    # The life of a job.

    def _version_of(self, job: Job) -> Version:
        version = self._store.models.version(job.version)
        if version is None:
            raise ModelsError("The version was deleted.")
        return version

    def _pool(self, version: Version) -> WorkerPool[Run]:
        if version.id not in self._pools:
            spec = self._catalog.runnable(version).spec
            setup = Setup(
                code=self._folder.code / version.code,
                weights=self._folder.weights / version.weights if version.weights else None,
                memory=spec.memory,
            )
            self._pools[version.id] = WorkerPool(setup, spec.concurrency, self._processes)
        return self._pools[version.id]

    def _enqueue(self, pool: WorkerPool[Run], job: Job) -> Run:
        run = Run(job)
        self._runs[job.id] = run
        if job.deadline is not None:
            left = (parse_timestamp(job.deadline) - now()) / timedelta(seconds=1)
            run.deadline = asyncio.get_running_loop().call_later(
                max(0, left), self._deadline_passed, run
            )
        pool.queue.append(run)
        self._announce(run, "created")
        self._start_next(pool)
        return run

    def _deadline_passed(self, run: Run) -> None:
        self.cancel(run.job, "aborted" if run.job.status == "starting" else "canceled")

    def _start_next(self, pool: WorkerPool[Run]) -> None:
        while pool.queue and pool.has_capacity and not self._stopping:
            run = pool.queue.popleft()
            if not run.finished.is_set():
                pool.active += 1
                run.acquired_at = timestamp(now())
                task = asyncio.create_task(self._execute(pool, run))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _execute(self, pool: WorkerPool[Run], run: Run) -> None:
        folder = self._folder.jobs / run.job.id
        try:
            worker = await self._acquire(pool, run)
            if worker is None:
                return
            try:
                folder.mkdir()
                await self._work(run, worker, folder)
            except Exception as error:
                # For example, the disk is full. The state of the worker is unknown, so kill it.
                logger.exception("%s %s", run.job.kind, run.job.id)
                worker.kill()
                self._finish(run, "failed", f"The server could not run this job: {describe(error)}")
            finally:
                pool.release(worker)
        finally:
            run.worker = None
            pool.active -= 1
            self._start_next(pool)
            await self._remove(folder)
        await self.stop_idle()

    async def _remove(self, folder: Path) -> None:
        """Delete the folder of a job. Nothing waits for it, because it may take long or fail."""
        # Most models leave nothing behind.
        if not (remove_empty(folder) or await asyncio.to_thread(remove, folder)):
            logger.warning("%s cannot be deleted before the next start", folder)

    async def _acquire(self, pool: WorkerPool[Run], run: Run) -> Worker | None:
        """Get a worker for a run. Return None if the run has finished in the meantime."""
        run.acquiring = acquiring = asyncio.ensure_future(pool.worker())
        try:
            worker = await acquiring
        except WorkerError as error:
            self._finish(run, "failed", str(error))
            return None
        except asyncio.CancelledError:
            if run.finished.is_set() and acquiring.cancelled():
                return None
            raise
        finally:
            run.acquiring = None
        if run.finished.is_set():
            # The job was canceled just after the worker had started. The worker is unused.
            pool.release(worker)
            return None
        run.worker = worker
        return worker

    async def _work(self, run: Run, worker: Worker, folder: Path) -> None:
        try:
            message = self._message(run, folder)
        except (InputError, ModelsError) as error:
            self._finish(run, "failed", str(error))
            return
        self._started(run)

        def on_part(part: dict[str, Any]) -> None:
            if run.finished.is_set():
                return
            if not run.add_part(self._store_files(run.job, part)):
                self._finish(run, "failed", "The output is larger than the server accepts.")
                if run.worker is not None:
                    run.worker.kill()
                return
            self._announce(run, "output")

        def on_log(text: str) -> None:
            if not run.finished.is_set():
                run.add_log(text)
                self._announce(run, "logs")

        try:
            result = await worker.run(message, on_log, on_part)
        except WorkerError as error:
            self._finish(run, "failed", str(error))
            return
        if not run.finished.is_set():
            self._take_result(run, result)

    def _take_result(self, run: Run, result: dict[str, Any]) -> None:
        if "failed" in result:
            self._finish(run, "failed", result["failed"])
            return
        try:
            self._record_end(run, "succeeded", result=result)
        except ModelsError as error:
            self._finish(run, "failed", str(error))

    def _store_files(self, job: Job, part: dict[str, Any]) -> str:
        """Store the files of an output part, and return the part with their signed URLs."""
        text: str = part["part"]
        for file in part["files"]:
            Path(file.pop("path")).replace(self._folder.files / file["id"])
            kept = self._store.files.create(
                {
                    **file,
                    "job": job.id,
                    "created_at": timestamp(now()),
                    "expires_at": expiry_of_new_file(),
                }
            )
            url = f"{ORIGIN}/v1/files/{kept.id}/download"
            text = text.replace(url, f"{url}?{self._signer.query(kept.id, kept.expires_at)}")
        return text

    def _store_training(self, job: Job, result: dict[str, Any]) -> str:
        """Create a version from the weights of a training, and return the training's output."""
        base = self._store.models.version(job.version)
        destination = job.destination or ""
        if base is None or self._store.models.get(destination) is None:
            raise ModelsError(f"{destination} or the trained version was deleted.")
        weights: str | None = None
        for file in result.get("files", ()):
            weights = file["sha256"]
            Path(file["path"]).replace(self._folder.weights / file["sha256"])
        version = self._catalog.add_trained(base, destination, weights)
        return json.dumps({"version": f"{destination}:{version.id}"})

    def _message(self, run: Run, folder: Path) -> dict[str, Any]:
        job = run.job
        runnable = self._catalog.runnable(self._version_of(job))
        training = job.kind == "training"
        signature = runnable.training if training and runnable.training else runnable.signature
        for name in signature.unknown(json.loads(job.input)):
            run.add_log(f"WARNING: {signature.explain_unknown(name)} It is ignored.\n")
        return {
            "train": training,
            "folder": str(folder),
            "input": signature.check(job.input),
            "files": self._references.resolve(job.input),
        }

    def _started(self, run: Run) -> None:
        with self._transaction(run):
            run.job = self._store.jobs.update(
                run.job,
                {
                    "status": "processing",
                    "acquired_at": run.acquired_at,
                    "started_at": timestamp(now()),
                },
            )
            self._announce(run, "start")
        run.notify()

    def _finish(self, run: Run, status: str, error: str | None = None) -> None:
        """Record the end of a job. If the disk is full, retry until it is recorded."""
        if run.finished.is_set():
            return
        try:
            self._record_end(run, status, error)
        except sqlite3.Error as problem:
            logger.warning("the end of %s cannot be recorded yet: %s", run.job.id, problem)
            if not self._stopping:
                loop = asyncio.get_running_loop()
                loop.call_later(RECORD_RETRY, self._finish, run, status, error)

    @contextlib.contextmanager
    def _transaction(self, run: Run) -> Generator[None]:
        """Run the block in a transaction. If it fails, the changes to ``run`` are undone."""
        before = run.job, run.output, run.streams
        try:
            with self._store.transaction():
                yield
        except BaseException:
            run.job, run.output, run.streams = before
            raise

    def _record_end(
        self,
        run: Run,
        status: str,
        error: str | None = None,
        *,
        result: dict[str, Any] | None = None,
    ) -> None:
        with self._transaction(run):
            if result is not None:
                self._store_result(run, result)
            run.job = self._store.jobs.update(
                run.job,
                {
                    "status": status,
                    "error": error,
                    "output": run.output_json(),
                    "logs": run.log.text,
                    "completed_at": timestamp(now()),
                },
            )
            self._announce(run, "completed")
        if run.deadline is not None:
            run.deadline.cancel()
        del self._runs[run.job.id]
        run.finished.set()
        run.notify()

    def _store_result(self, run: Run, result: dict[str, Any]) -> None:
        if run.job.kind == "training":
            run.output = self._store_training(run.job, result)
        elif "part" in result:
            run.output = self._store_files(run.job, result)
            self._announce(run, "output")
        else:
            run.streams = True

    def _finish_without_run(self, job: Job, status: str, error: str | None = None) -> Job:
        run = Run(job)
        self._runs[job.id] = run
        self._finish(run, status, error)
        return run.job

    def _announce(self, run: Run, event: str) -> None:
        for listener in self.listeners:
            listener(run, event)
