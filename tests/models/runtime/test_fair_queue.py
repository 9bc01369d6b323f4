"""The fair queue on a clock that the test sets: who is next, what is charged, who gets an extra thread."""

from collections.abc import Sequence

from models.runtime.fair_queue import FairQueue, TenantLoad
from models.runtime.queued_task import Priority, QueuedTask

CALL, JOB, CHECK = Priority.CALL, Priority.JOB, Priority.CHECK
ALL = tuple(Priority)


class Machine:
    """A fair queue whose tasks take as long as the test says."""

    def __init__(self, threads: int = 1, extra: int = 0) -> None:
        self.now = 0.0
        self.queue: FairQueue[QueuedTask] = FairQueue(threads, extra, lambda: self.now)

    def add(self, tenant: str, cost: float = 0.0, priority: Priority = CALL) -> QueuedTask:
        """Queue a task of a tenant."""
        task = QueuedTask(tenant, priority, cost)
        self.queue.add(task)
        return task

    def start(self, priorities: Sequence[Priority] = ALL, *, on_thread: bool = True) -> QueuedTask:
        """Start the next task; there must be one."""
        task = self.queue.take(priorities, on_thread=on_thread)
        assert task is not None
        return task

    def run(self, seconds: float = 1.0) -> QueuedTask:
        """Run the next task to its end."""
        task = self.start()
        self.now += seconds
        self.queue.finish(task)
        return task

    def order(self, count: int, **seconds: float) -> str:
        """Run tasks one after another, each for the seconds of its tenant; return their tenants."""
        tenants = []
        for _ in range(count):
            task = self.start()
            self.now += seconds.get(task.tenant, 1.0)
            self.queue.finish(task)
            tenants.append(task.tenant)
        return "".join(tenants)


def test_tenants_with_equal_tasks_take_turns() -> None:
    machine = Machine()
    for tenant in "aaaabbbb":
        machine.add(tenant)
    assert machine.order(8) == "abababab"


def test_a_newcomer_is_next_and_the_last_of_a_flood_waits_for_it() -> None:
    machine = Machine()
    for _ in range(100):
        machine.add("a", 1.0)
    assert machine.order(10) == "a" * 10
    machine.add("b", 1.0)
    assert machine.order(3) == "baa"


def test_a_tenant_is_charged_what_its_tasks_took_not_what_they_seemed_to_cost() -> None:
    machine = Machine()
    for _ in range(30):
        machine.add("a", 0.1)
        machine.add("b", 0.1)
    order = machine.order(31, a=18.0, b=1.0)
    assert order.count("a") == 2
    assert order == "a" + "b" * 18 + "a" + "b" * 11


def test_each_tenant_gets_the_same_time_whatever_its_tasks_cost() -> None:
    machine, seconds = Machine(), {"a": 4.0, "b": 1.0, "c": 0.5}
    used = dict.fromkeys(seconds, 0.0)
    for _ in range(400):
        for tenant in "abc":
            machine.add(tenant)
    for _ in range(300):
        task = machine.start()
        machine.now += seconds[task.tenant]
        machine.queue.finish(task)
        used[task.tenant] += seconds[task.tenant]
    assert max(used.values()) - min(used.values()) <= max(seconds.values())


def test_a_task_that_cost_less_than_expected_is_charged_less() -> None:
    machine = Machine()
    for _ in range(4):
        machine.add("a", 10.0)
        machine.add("b", 1.0)
    assert machine.order(4) == "abab"


def test_a_running_task_is_charged_while_it_runs() -> None:
    machine = Machine(threads=2)
    for _ in range(4):
        machine.add("a", 0.1)
    long, _ = machine.start(), machine.add("b", 0.1)
    assert machine.run(5.0).tenant == "b"
    machine.add("b", 0.1)
    machine.now += 10.0
    assert machine.run(1.0).tenant == "b"
    machine.queue.finish(long)


def test_nobody_saves_up_time_by_idling() -> None:
    machine = Machine()
    machine.add("b")
    machine.run(1.0)
    for _ in range(60):
        machine.add("a")
    machine.order(50)
    for _ in range(10):
        machine.add("b")
    assert machine.order(8) == "babababa"


def test_the_debts_of_a_busy_time_end_with_it() -> None:
    machine = Machine()
    machine.add("a")
    machine.add("b")
    machine.order(2, a=100.0, b=1.0)
    machine.add("a")
    machine.add("b")
    assert machine.order(2) == "ab"


def test_within_a_tenant_calls_go_before_jobs_and_no_job_starves() -> None:
    machine = Machine()
    machine.add("a", priority=JOB)
    for _ in range(20):
        machine.add("a")
    priorities = [machine.run().priority for _ in range(6)]
    assert priorities == [CALL] * 4 + [JOB, CALL]


def test_the_job_of_another_tenant_goes_before_the_waiting_calls_of_one_that_had_its_turn() -> None:
    machine = Machine()
    for _ in range(20):
        machine.add("a")
    machine.run()
    machine.add("b", priority=JOB)
    assert machine.run().tenant == "b"


def test_a_tenant_that_runs_nothing_gets_an_extra_thread() -> None:
    machine = Machine(threads=2, extra=2)
    for _ in range(10):
        machine.add("a")
    running = [machine.start(), machine.start()]
    assert machine.queue.take(ALL) is None
    machine.add("b")
    machine.add("b")
    mine = machine.start()
    assert mine.tenant == "b"
    assert machine.queue.take(ALL) is None
    machine.queue.finish(mine)
    assert machine.start().tenant == "b"
    machine.queue.finish(running[0])
    assert machine.queue.take(ALL) is None


def test_alone_a_tenant_uses_all_threads_and_no_extra_one() -> None:
    machine = Machine(threads=3, extra=3)
    for _ in range(9):
        machine.add("a")
    running = [machine.start() for _ in range(3)]
    assert machine.queue.take(ALL) is None
    machine.queue.finish(running[0])
    machine.start()
    assert machine.queue.take(ALL) is None


def test_the_extra_threads_are_bounded() -> None:
    machine = Machine(threads=1, extra=2)
    for tenant in "abcde":
        machine.add(tenant)
    assert [machine.start().tenant for _ in range(3)] == ["a", "b", "c"]
    assert machine.queue.take(ALL) is None


def test_a_share_of_many_threads_is_several() -> None:
    machine = Machine(threads=8, extra=8)
    for _ in range(20):
        machine.add("a")
    for _ in range(8):
        assert machine.start().tenant == "a"
    for _ in range(20):
        machine.add("b")
    assert [machine.start().tenant for _ in range(4)] == ["b"] * 4
    assert machine.queue.take(ALL) is None


def test_checks_on_their_own_thread_take_no_other_thread() -> None:
    machine = Machine()
    machine.add("a")
    running = machine.start()
    machine.add("a", priority=CHECK)
    machine.add("a")
    check = machine.start([CHECK], on_thread=False)
    assert check.priority is CHECK
    assert machine.queue.take(ALL) is None
    machine.queue.finish(check)
    assert machine.queue.take(ALL) is None
    machine.queue.finish(running)
    assert machine.run().priority is CALL


def test_a_batch_is_charged_to_all_whose_calls_are_in_it() -> None:
    machine = Machine()
    for tenant in "abcabc":
        machine.add(tenant)
    first = machine.start()
    mates = [task for task in machine.queue.waiting() if task.number == 1]
    machine.queue.join(first, mates)
    machine.now += 4.0
    machine.queue.finish(first)
    assert machine.order(4) == "ccab"
    assert len(machine.queue) == 0


def test_it_tells_what_each_tenant_has() -> None:
    machine = Machine(threads=2)
    for tenant, priority in (("a", CALL), ("a", CALL), ("a", JOB), ("b", CHECK), ("b", JOB)):
        machine.add(tenant, 1.0, priority)
    assert machine.queue.loads() == {"a": TenantLoad(0, 3, 1), "b": TenantLoad(0, 2, 1)}
    first, second = machine.start(), machine.start()
    assert {first.tenant, second.tenant} == {"a", "b"}
    assert machine.queue.loads() == {"a": TenantLoad(1, 2, 1), "b": TenantLoad(1, 1, 1)}
    machine.queue.join(first, [machine.add("c")])
    assert machine.queue.loads()["c"] == TenantLoad(1, 0, 0)
    for task in (first, second):
        machine.queue.finish(task)
    while machine.queue:
        machine.run()
    assert machine.queue.loads() == {}


def test_cancelled_tasks_leave_the_queue() -> None:
    machine = Machine()
    task = machine.add("a")
    machine.add("b")
    assert machine.queue.waits(task)
    machine.queue.remove(task)
    assert not machine.queue.waits(task)
    assert machine.run().tenant == "b"


def test_the_place_of_a_task_is_where_it_will_start() -> None:
    machine = Machine()
    waiting = [
        machine.add(tenant, cost, priority)
        for tenant, cost, priority in [
            *[("a", 2.0, CALL)] * 9,
            *[("b", 1.0, CALL)] * 3,
            ("a", 5.0, JOB),
            ("c", 30.0, JOB),
            ("c", 0.1, CHECK),
            *[("b", 1.0, JOB)] * 2,
            *[("a", 0.5, CHECK)] * 6,
        ]
    ]
    told = {task: machine.queue.ahead(task) for task in waiting}
    assert machine.queue.waiting(), "asking takes no task"
    started: list[QueuedTask] = []
    while machine.queue.waiting():
        task = machine.start()
        started.append(task)
        machine.now += task.cost
        machine.queue.finish(task)
    assert [told[task] for task in started] == list(range(len(waiting)))
    assert machine.queue.ahead(started[0]) is None


def test_a_place_counts_what_running_tasks_have_cost() -> None:
    machine = Machine()
    machine.add("a", 1.0)
    running = machine.start()
    mine, theirs = machine.add("a", 1.0), machine.add("b", 1.0)
    assert (machine.queue.ahead(mine), machine.queue.ahead(theirs)) == (1, 0)
    assert machine.queue.ahead(running) is None
    machine.queue.remove(theirs)
    assert machine.queue.ahead(mine) == 0
