"""Threads that compile and call the same functions at once."""


def test_a_callee_that_another_thread_calls_meanwhile(project):
    """A compilation needs its callee with its own options; another thread asks for the callee with none."""
    project.good("""
        import threading, time
        from numba import njit
        from numba.core import event

        @njit
        def g(x):
            return x / 3.0

        @njit
        def h(x):
            return x * 2.0

        @njit(fastmath=True, error_model="numpy")
        def outer(x):
            return g(x) + h(x)

        threads, failed = [], []

        def call():
            try:
                g(1.0)
            except Exception as error:
                failed.append(error)

        class Lowering(event.Listener):
            def on_start(self, started):
                if started.data["qualname"] == "outer" and "native_lowering" in started.data["name"]:
                    threads.append(threading.Thread(target=call))
                    threads[-1].start()
                    time.sleep(0.5)

            def on_end(self, ended):
                pass

        event.register("numba:run_pass", Lowering())
        assert abs(outer(3.0) - 7.0) < 1e-9
        for thread in threads:
            thread.join()
        assert threads and not failed, failed
        """)


def test_the_lock_of_the_cache_handle_survives_a_fork(project):
    """Another thread held it when the process forked."""
    project.good("""
        import os, threading, time
        from saggar import process
        held = threading.Event()

        def hold():
            with process._lock:
                held.set()
                time.sleep(1)

        threading.Thread(target=hold).start()
        held.wait()
        child = os.fork()
        if child == 0:
            import signal
            signal.alarm(20)
            os._exit(0 if process.cache() is not None else 1)
        assert os.waitpid(child, 0)[1] == 0
        """)
