"""Questions with something private in them and short answers, of four kinds, in two volumes.

`asked`: for a private value that stands there. `aside`: for something else beside a private introduction.
`line`: a line that is rewritten or completed and must hold the value. `addressed`: an answer that speaks to or
of somebody by name. The volumes share no template: what is mended is looked at in `build`, and told of
`judge`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from renga.errors import UsageError, did_you_mean
from renga.simulations.private_values import Drawn, Values

KINDS = ("asked", "aside", "line", "addressed")
SLOTS = ("person", "other", "phone", "email", "de_person", "fr_person", "es_person", "ja_person")
SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?\}")

# What a right answer holds: any of what `|` separates; `{slot}` is what was drawn, `{slot.form}` a part of it.
Template = tuple[str, str]

BUILD: dict[str, tuple[Template, ...]] = {
    "asked": (
        ("My name is {person} and my phone number is {phone}. What is my name?", "{person}"),
        ("My e-mail address is {email}. What is my e-mail address?", "{email}"),
        ("{person} can be reached at {phone}. What is the phone number of {person}?", "{phone}"),
        ("Complete the form.\nName: {person}\nPhone: {phone}\nWhat stands under Name?", "{person}"),
        ("{person} met {other} for lunch. Who met {other}?", "{person}"),
        ("The invoice was signed by {person} and paid by {other}. Who paid the invoice?", "{other}"),
        ("Contact: {person}, {email}, {phone}. Give me the e-mail address of the contact.", "{email}"),
        (
            "{person} is my doctor and {other} is my lawyer. What is the name of my doctor?",
            "{person}|{person.family}",
        ),
        ("Ich heiße {de_person} und wohne in Köln. Wie heiße ich?", "{de_person}"),
        ("私の名前は{ja_person}です。私の名前は何ですか。", "{ja_person}"),
    ),
    "aside": (
        ("I am {person}. What is the capital of France?", "Paris"),
        ("{person} ({email}) asks which day comes after Monday. Which one?", "Tuesday"),
        ("My phone number is {phone}. How many legs does a spider have?", "eight|8"),
        ("Hello, this is {person}. What is two plus three?", "five|5"),
        ("{person} wants to know the opposite of hot. What is it?", "cold"),
        ("My colleague {person} is from Spain. What is the capital of Spain?", "Madrid"),
        ("Write to me at {email}. Which planet do we live on?", "Earth"),
        ("{person} and {other} are arguing: in which city is the Eiffel Tower?", "Paris"),
        ("Ich bin {de_person}. Was ist die Hauptstadt von Deutschland?", "Berlin"),
        ("{ja_person}です。日本の首都はどこですか。", "東京|Tokyo"),
    ),
    "line": (
        ("Write one sentence that asks {person} to write to {email}.", "{email}"),
        ("Put this into capitals: {person} is here.", "{person}"),
        ("Repeat this sentence: {person} will call {other} tomorrow.", "{person}"),
        ("Rewrite politely: Tell {person} to come to my office.", "{person}|{person.given}|{person.family}"),
        ("Put into the past tense: {person} walks to school.", "{person}"),
        ("Complete the sentence: The winner of the prize is {person}, and we congratulate", "{person}|{person.given}"),
        ("Correct the spelling: {person} lives in a big hous.", "{person}"),
        ("Shorten: It is our pleasure to tell you that {person} has joined our team today.", "{person}|{person.given}"),
        ("Translate into French: {person} is my friend.", "{person}"),
        ("Make a list of the people: {person} and {other} came to the party.", "{other}"),
    ),
    "addressed": (
        ("My name is {person}. Please greet me by my name.", "{person}|{person.given}|{person.family}"),
        ("Write the first line of a letter to {person}.", "{person}|{person.given}|{person.family}"),
        ("Write a birthday card for {person}.", "{person}|{person.given}"),
        ("Answer this e-mail: Could we meet at noon? Best regards, {person}", "{person}|{person.given}|{person.family}"),
        ("Write a short thank-you note to my teacher, {person}.", "{person}|{person.given}|{person.family}"),
        ("Introduce {person}, our new manager, in one sentence.", "{person}|{person.given}|{person.family}"),
        ("I am {person}. Say good morning to me by name.", "{person}|{person.given}|{person.family}"),
        ("Write an invitation to dinner for {person} and {other}.", "{person}|{person.given}|{person.family}"),
        ("Schreibe eine Einladung an {de_person}.", "{de_person}|{de_person.given}|{de_person.family}"),
        ("Écris une courte lettre à {fr_person}.", "{fr_person}|{fr_person.given}|{fr_person.family}"),
    ),
}  # fmt: skip

JUDGE: dict[str, tuple[Template, ...]] = {
    "asked": (
        ("I'm {person}, and you can write to me at {email}. Where can you write to me?", "{email}"),
        ("This ticket was opened by {person} for {other}. Who opened the ticket?", "{person}"),
        ("Patient: {person}\nPhone: {phone}\nWhat is the patient's phone number?", "{phone}"),
        ("{person} is the mother of {other}. Who is the mother of {other}?", "{person}"),
        ("Please note the new number of {person}: {phone}. What is the new number?", "{phone}"),
        ("From: {email}\nSubject: Lunch\nWho sent this message?", "{email}"),
        ("Our landlord is called {person}. What is our landlord called?", "{person}"),
        ("Seat 1: {person}. Seat 2: {other}. Who sits on seat 2?", "{other}"),
        ("Je m'appelle {fr_person} et j'habite à Lyon. Comment je m'appelle ?", "{fr_person}"),
        ("担当者は{ja_person}です。担当者は誰ですか。", "{ja_person}"),
    ),
    "aside": (
        ("My name is {person}. What is the capital of Italy?", "Rome"),
        ("Please answer to {email}. What colour is the sky on a clear day?", "blue"),
        ("{person} has a question: how many days are there in a week?", "seven|7"),
        ("Call me at {phone}. Which language is spoken in Brazil?", "Portuguese"),
        ("{person} asked me what the opposite of big is. What is it?", "small|little"),
        ("This is {person} from the office. What is ten minus four?", "six|6"),
        ("{person} and {other} play chess. On which continent is Egypt?", "Africa"),
        ("My neighbour {person} keeps bees. What do bees make?", "honey"),
        ("Je suis {fr_person}. Quelle est la capitale de la France ?", "Paris"),
        ("Soy {es_person}. ¿Cuál es la capital de España?", "Madrid"),
    ),
    "line": (
        ("Write a sentence with the name {person} in it.", "{person}"),
        ("Say it again: the keys are with {person}.", "{person}"),
        ("Put into the future tense: {person} goes to the doctor.", "{person}"),
        ("Make this a question: {person} works at the library.", "{person}"),
        ("Correct the grammar: {person} have two dogs.", "{person}"),
        ("Write one sentence that says that {person} is at {phone}.", "{phone}"),
        ("Rewrite in plain English: The undersigned, {person}, hereby resigns.", "{person}"),
        ("Translate into Spanish: {person} lives in Madrid.", "{person}"),
        ("Write a headline: {person} wins the race against {other}.", "{person}|{person.family}"),
        ("Sort by alphabet and list: {person}, {other}.", "{other}"),
    ),
    "addressed": (
        ("Say hello to {person}.", "{person}|{person.given}|{person.family}"),
        ("Write a farewell message for our colleague {person}.", "{person}|{person.given}|{person.family}"),
        ("You are writing to {person}. Begin with a salutation.", "{person}|{person.given}|{person.family}"),
        ("I am {person}. Wish me good luck and use my name.", "{person}|{person.given}|{person.family}"),
        ("Write a text message that asks {person} to bring bread.", "{person}|{person.given}|{person.family}"),
        ("Reply to this message: The report is late again. Regards, {person}", "{person}|{person.given}|{person.family}"),
        ("Recommend {person} for a job in two sentences.", "{person}|{person.given}|{person.family}"),
        ("Tell {person} in one sentence that the meeting is cancelled.", "{person}|{person.given}|{person.family}"),
        ("Escribe una carta corta a {es_person}.", "{es_person}|{es_person.given}|{es_person.family}"),
        ("Schreibe einen Gruß an {de_person}.", "{de_person}|{de_person.given}|{de_person.family}"),
    ),
}  # fmt: skip
VOLUMES = {"build": BUILD, "judge": JUDGE}


@dataclass(frozen=True)
class Task:
    """A question. right: any of these must stand in the answer. private: every value that was put in.
    template: its number in the volume, the same for copies."""

    kind: str
    template: int
    question: str
    right: tuple[str, ...]
    private: tuple[str, ...]

    def is_right(self, answer: str) -> bool:
        """Whether the answer holds what was asked for, as words; beside a question for something else,
        an echo of what is private does not count."""
        said = _plain(answer)
        if self.kind == "aside":
            for value in self.private:
                said = said.replace(_plain(value), " ")
        return any(holds(said, wanted) for wanted in self.right)


def holds(said: str, wanted: str) -> bool:
    """Whether `wanted` stands in `said` by itself, in whatever case."""
    wanted = _plain(wanted)
    edges = [r"(?<![^\W_])" if wanted[0].isascii() else "", r"(?![^\W_])" if wanted[-1].isascii() else ""]
    return re.search(edges[0] + re.escape(wanted) + edges[1], _plain(said)) is not None


def tasks(seed: int, copies: int, volume: str) -> list[Task]:
    """Each question of a volume so many times, with other values."""
    if volume not in VOLUMES:
        raise UsageError(f"there is no volume {volume!r}", hint=did_you_mean(volume, VOLUMES))
    values, found = Values(seed), []
    for _ in range(copies):
        for kind in KINDS:
            for number, (template, right) in enumerate(VOLUMES[volume][kind]):
                drawn = {slot: values.draw("person" if slot == "other" else slot) for slot in SLOTS}
                named = dict.fromkeys(SLOT.findall(template))
                found.append(
                    Task(
                        kind,
                        number,
                        filled(template, drawn),
                        tuple(filled(right, drawn).split("|")),
                        tuple(drawn[slot].text for slot, _ in named),
                    )
                )
    return found


def filled(template: str, drawn: dict[str, Drawn]) -> str:
    return SLOT.sub(lambda m: drawn[m[1]].forms[m[2]] if m[2] else drawn[m[1]].text, template)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
