"""Who is next, as laws: nobody is lost, nobody waits for two jobs of another, nobody fills the queue alone."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zeroconv.service.fair_queue import FairQueue
from zeroconv.service.wait_times import FIRST_GUESS, LONGEST, WaitTimes

CLIENTS = st.sampled_from("abcd")
MOVES = st.lists(st.one_of(CLIENTS.map(lambda client: ("add", client)), st.just(("take", "")), st.just(("remove", ""))))


@given(MOVES)
def test_every_job_is_taken_once_or_removed_and_clients_keep_their_order(moves: list[tuple[str, str]]) -> None:
    queue, waiting, owner = FairQueue(1000), list[str](), dict[str, str]()
    for number, (move, client) in enumerate(moves):
        if move == "add":
            assert queue.add(str(number), client)
            waiting.append(str(number))
            owner[str(number)] = client
        elif move == "take":
            expected = list(queue.order())
            job = queue.take()
            assert job == (expected[0] if expected else None) and (job is None) == (not waiting)
            if job is not None:
                assert job == next(one for one in waiting if owner[one] == owner[job])
                waiting.remove(job)
        elif waiting:
            gone = waiting.pop(len(waiting) // 2)
            assert queue.remove(gone) and not queue.remove(gone)
        assert len(queue) == len(waiting) and sorted(queue.order()) == sorted(waiting)
    expected = list(queue.order())
    assert [queue.take() for _ in waiting] == expected and queue.take() is None


@given(MOVES, CLIENTS)
def test_nobody_waits_for_two_jobs_of_another(moves: list[tuple[str, str]], late: str) -> None:
    queue, owner = FairQueue(1000), dict[str, str]()
    for number, (move, client) in enumerate(moves):
        if move == "add" and client != late:
            queue.add(str(number), client)
            owner[str(number)] = client
        elif move == "take":
            queue.take()
    queue.add("first", late)
    before = Counter[str]()
    while (job := queue.take()) != "first":
        assert job is not None
        before[owner[job]] += 1
    assert max(before.values(), default=0) <= 1


def test_a_hundred_jobs_of_one_do_not_delay_the_first_of_another() -> None:
    queue = FairQueue(256)
    assert all(queue.add(f"many-{i}", "many") for i in range(100))
    assert queue.take() == "many-0"  # runs
    queue.add("one", "other")
    assert queue.position("one") == 0 and queue.take() == "one"
    assert queue.take() == "many-1"


@given(st.integers(1, 40), st.lists(CLIENTS, max_size=80))
def test_the_queue_is_bounded_and_has_a_place_for_whoever_has_none(capacity: int, clients: list[str]) -> None:
    queue, held = FairQueue(capacity), Counter[str]()
    for number, client in enumerate(clients):
        room = queue.has_room(client)
        assert queue.add(str(number), client) == room
        held[client] += room
        assert len(queue) <= capacity and (room or held[client] or len(queue) == capacity)
    assert max(held.values(), default=0) <= capacity / 2 + 1


def test_a_job_whose_worker_died_is_before_all_others_and_always_has_a_place() -> None:
    queue = FairQueue(2)
    assert queue.add("a", "x") and queue.add("b", "y") and not queue.add("c", "z")
    assert queue.add("again", "z", level=0)
    assert [queue.take() for _ in range(3)] == ["again", "a", "b"]


@given(st.lists(st.floats(0, 1e6), max_size=50), st.integers(0, 300), st.integers(1, 8))
def test_the_wait_is_a_whole_number_that_grows_with_the_queue(seconds: list[float], waiting: int, workers: int) -> None:
    times = WaitTimes(workers)
    for one in seconds:
        times.note(one)
    wait = times.retry_after(waiting)
    assert isinstance(wait, int) and 1 <= wait <= LONGEST
    assert times.retry_after(waiting + 1) >= wait >= times.retry_after(waiting, running_for=1e9)


def test_the_wait_is_what_jobs_took() -> None:
    times = WaitTimes()
    assert times.mean == FIRST_GUESS
    times.note(10)
    times.note(20)
    assert times.retry_after(0) == 15 and times.retry_after(2) == 45 and times.retry_after(0, running_for=5) == 10
    assert WaitTimes(2).retry_after(3) == 4
