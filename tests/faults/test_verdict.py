# SPDX-License-Identifier: Apache-2.0
"""The judge is judged: every kind of violation, made by hand, is seen, and nothing else is."""

import pytest

from history import Ack, Entry, Gap, Heard, History, Joined, Left
from verdict import KINDS, judge

E1, E2 = "abc.1", "abc.2"  # two eras of a stream
SENDER = "arq_client_p"


def entry(n, epoch=E1, seq=None):
    return Entry(epoch, seq or n, f"p-{n}", SENDER)


def heard(n, epoch=E1, seq=None, sender=SENDER):
    return Heard(epoch, seq or n, f"p-{n}", sender)


def everything(first, last):
    return [heard(n) for n in range(first, last + 1)]


@pytest.fixture
def history():
    """Five messages were said, acked, stored, and heard by one who came back in between."""
    h = History()
    h.senders[SENDER] = "p"
    for n in range(1, 6):
        h.said[f"p-{n}"] = "r:c"
        h.acks[f"p-{n}"] = [Ack(E1, n, "redis")]
    h.stored["r:c"] = [entry(n) for n in range(1, 6)]
    tell(h, Joined(E1, 0, None, None), *everything(1, 2), Left(), Joined(E1, 4, (E1, 2), True), *everything(3, 5))
    return h


def tell(history, *events):
    history.log("bob", "r:c")[:] = events


def only(history, *kinds):
    verdict = judge(history)
    assert {kind for kind in KINDS if verdict.count(kind)} == set(kinds), verdict
    return verdict


def test_what_went_well_is_fine(history):
    assert only(history).is_clean


def test_what_was_acked_and_is_not_stored_is_lost(history):
    del history.stored["r:c"][4]
    tell(history, Joined(E1, 0, None, None), *everything(1, 4))
    only(history, "lost")


def test_what_was_heard_and_is_not_stored_has_vanished(history):
    del history.stored["r:c"][4], history.acks["p-5"]
    only(history, "vanished")


def test_what_is_stored_twice_is_doubled(history):
    history.stored["r:c"].append(entry(4, E2, 6))
    history.acks["p-4"] = [Ack(E2, 6, "redis")]
    assert only(history, "doubled").count("doubled") == 1


def test_what_is_heard_twice_is_doubled(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 5), heard(5))
    only(history, "doubled")


def test_what_is_heard_again_after_an_epoch_gap_is_redelivered(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 3), Left(), Joined(E2, 5, ("gone.1", 3), False),
         Gap(E2, None, 0, "epoch"), *everything(1, 5))
    assert only(history).redelivered == 3


def test_what_is_not_heard_in_the_order_of_the_storage_is_out_of_order(history):
    tell(history, Joined(E1, 0, None, None), heard(1), heard(3), heard(2), *everything(4, 5))
    only(history, "out of order")


def test_what_is_heard_before_the_join_is_answered_is_out_of_order(history):
    tell(history, heard(1), Joined(E1, 0, None, None), *everything(2, 5))
    only(history, "out of order")


def test_what_is_heard_in_another_place_than_it_is_stored_is_out_of_order(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 4), heard(5, E1, 9))
    only(history, "out of order")


def test_what_a_publisher_said_later_is_not_stored_before(history):
    history.stored["r:c"][1:3] = [entry(3, seq=2), entry(2, seq=3)]
    history.acks["p-3"], history.acks["p-2"] = [Ack(E1, 2, "redis")], [Ack(E1, 3, "redis")]
    tell(history, Joined(E1, 0, None, None), heard(1), heard(3, seq=2), heard(2, seq=3), *everything(4, 5))
    only(history, "out of order")
    history.nacked.add("p-2")  # it was refused, and said again
    only(history)


@pytest.mark.parametrize("stranger", [
    heard(6),  # nobody said it
    heard(5, sender="arq_client_x"),  # another did
])
def test_what_nobody_said_is_a_phantom_to_who_hears_it(history, stranger):
    tell(history, Joined(E1, 0, None, None), *everything(1, 4), stranger, heard(5))
    only(history, "phantom")


def test_what_nobody_said_is_a_phantom_in_the_storage(history):
    history.stored["r:c"].append(entry(6))
    only(history, "phantom")


def test_what_was_said_elsewhere_is_a_phantom_here(history):
    history.said["p-5"] = "r:other"
    assert judge(history).count("phantom") == 2  # stored, and heard


def test_what_was_refused_for_good_is_a_phantom(history):
    history.given_up.add("p-5")
    assert only(history, "phantom").count("phantom") == 2


def test_recovered_must_not_hide_a_hole(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 2), Left(), Joined(E1, 4, (E1, 2), True),
         *everything(4, 5))
    only(history, "wrong recovered", "unheard")


def test_recovered_must_not_be_followed_by_a_gap(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 2), Left(), Joined(E1, 4, (E1, 2), True),
         Gap(E1, 3, 3, "storage"), *everything(4, 5))
    assert only(history, "wrong recovered").excused == 1


def test_who_has_seen_what_is_lost_is_not_recovered(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 5), Left(), Joined(E2, 5, (E1, 5), True))
    history.stored["r:c"][4] = Entry(E2, 5, "p-6", SENDER)
    history.said["p-6"] = "r:c"
    del history.acks["p-5"]
    assert only(history, "wrong recovered", "vanished", "unheard").count("wrong recovered") == 1


def test_who_missed_nothing_is_recovered(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 2), Left(), Joined(E1, 4, (E1, 2), False),
         *everything(3, 5))
    only(history, "wrong recovered")


def test_a_connection_that_ends_early_leaves_no_hole(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 2), Left(), Joined(E1, 5, (E1, 2), True), heard(3),
         Left(), Joined(E1, 5, (E1, 3), True), *everything(4, 5))
    only(history)


def test_what_is_neither_heard_nor_in_a_gap_is_unheard(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 4))
    only(history, "unheard")


def test_a_gap_excuses_what_it_names(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 2), Gap(E1, 3, 4, "slow_consumer"), heard(5))
    assert only(history).excused == 2


def test_what_is_kept_was_not_trimmed(history):
    tell(history, Joined(E1, 0, None, None), *everything(1, 2), Left(), Joined(E1, 5, (E1, 2), False),
         Gap(E1, 3, 4, "trimmed"), heard(5))
    only(history, "wrong gap")
    history.keeps = 1
    only(history)


@pytest.mark.parametrize("ack", [Ack(E1, 4, "redis"), Ack(E2, 5, "redis"), Ack(E1, 5, "none")])
def test_an_ack_names_place_and_class(history, ack):
    history.acks["p-5"].append(ack)
    only(history, "wrong ack")


def test_what_should_not_come_is_a_surprise(history):
    history.surprises.append("bob got an error")
    only(history, "surprise")
