"""Logins by where they stand, and numbers by theirs."""

import pytest

from renga.client.sanitisation.handles import handles
from renga.client.sanitisation.labelled import usernames
from renga.client.sanitisation.records import records


def found(recogniser, text):
    return {text[f.start : f.end] for f in recogniser(text)}


@pytest.mark.parametrize(
    "text",
    [
        "$ whoami\n{}\n$ ls",
        "Host office\n  HostName 172.21.182.50\n  User {}\n",
        "Access denied for user '{}'@'10.1.2.3'",
        "ssh {}@172.21.182.50 hangs",
        "my handle on the forum is {} and somebody copied it",
        "the fake one is {}, not me",
        "Reporter: Amy Lee ({})\nSteps: none",
    ],
)
def test_a_login_is_one_where_only_logins_stand(text):
    assert found(handles, text.format("mblanchet")) == {"mblanchet"}


@pytest.mark.parametrize(
    "text", ["# called by {}, add retries", "acked by {} after 11 min", "user {} kept spamming me"]
)
def test_elsewhere_it_has_a_mark_that_no_word_has(text):
    assert found(handles, text.format("mango_byte4")) == {"mango_byte4"}
    assert not found(handles, text.format("everybody"))


@pytest.mark.parametrize(
    "text",
    [
        "$ whoami\nroot\n$ ls",
        "  User admin\n",
        "my username is taken",
        "The user name is case sensitive",
        "Author: Jane Austen (novelist)",
        "the other one is better, mine is slower",
        "git clone git@github.com:foo/bar.git",
    ],
)
def test_words_and_everybodys_logins_stay(text):
    assert not found(handles, text) | found(usernames, text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("sort code 40-91-71 account 28529645 in the name of", "28529645"),
        ("Routing: 261882096\nAccount: 504696538\nInvestor", "504696538"),
        ('region = "eu-west-1"\naccount      = "516241369052"', "516241369052"),
        ('create(customer="cus_5EsepFE8K0ydN0")', "cus_5EsepFE8K0ydN0"),
        ("el coche 0675 PHC estaba mal", "0675 PHC"),
        ("other driver: A. Lee, licence 38170903, insured", "38170903"),
        ("old license number for the replacement, it's G476-021-85-547-0 i think", "G476-021-85-547-0"),
        ("Reisepass K8WWNGZNX ist abgelaufen", "K8WWNGZNX"),
    ],
)
def test_numbers_of_accounts_papers_and_cars_by_what_stands_before(text, number):
    assert number in found(records, text)
