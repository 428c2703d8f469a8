from itertools import islice

from notification_service.foundation.backoff import jittered, pauses


def test_pauses_double_up_to_the_longest_and_are_jittered() -> None:
    for _ in range(20):
        found = list(islice(pauses(1, 5), 6))
        assert all(0.5 * want <= pause <= 1.5 * want for pause, want in zip(found, (1, 2, 4, 5, 5, 5), strict=True))
    assert len({jittered(1) for _ in range(20)}) > 1
    assert all(0.75 <= jittered(1, 0.25) <= 1.25 for _ in range(20))
