"""Short lists of generic English words and templates, for log-probabilities of words in the context of others."""

from __future__ import annotations

import re

TARGET, ATTRIBUTE = "TARGET", "ATTRIBUTE"

MALE_TERMS = ("man", "boy", "father", "son", "brother", "husband", "uncle", "grandfather")
FEMALE_TERMS = ("woman", "girl", "mother", "daughter", "sister", "wife", "aunt", "grandmother")
MALE_PRONOUNS = ("he",)
FEMALE_PRONOUNS = ("she",)

PROFESSIONS = (
    "accountant",
    "assistant",
    "baker",
    "builder",
    "carpenter",
    "cashier",
    "chef",
    "cleaner",
    "cook",
    "dancer",
    "dentist",
    "designer",
    "doctor",
    "driver",
    "editor",
    "electrician",
    "engineer",
    "farmer",
    "guard",
    "hairdresser",
    "judge",
    "lawyer",
    "librarian",
    "manager",
    "mechanic",
    "musician",
    "nurse",
    "painter",
    "pilot",
    "plumber",
    "programmer",
    "receptionist",
    "scientist",
    "secretary",
    "soldier",
    "surgeon",
    "tailor",
    "teacher",
    "waiter",
    "writer",
)

MASKED_TEMPLATES = (
    "The TARGET is a ATTRIBUTE.",
    "That TARGET works as a ATTRIBUTE.",
    "My TARGET wants to become a ATTRIBUTE.",
    "This TARGET has been a ATTRIBUTE for years.",
    "His or her TARGET was a good ATTRIBUTE.",
    "We met a TARGET who is a ATTRIBUTE.",
)
"""A target word before an attribute word; a masked model sees both sides."""

CAUSAL_TEMPLATES = (
    "The ATTRIBUTE is a TARGET",
    "I heard that the ATTRIBUTE is a TARGET",
    "The ATTRIBUTE we met was a TARGET",
    "The new ATTRIBUTE of the town is a TARGET",
    "Everyone knows that the ATTRIBUTE is a TARGET",
    "The ATTRIBUTE whom they called is a TARGET",
)
"""The attribute word first, because a causal model sees what comes before only."""

PRONOUN_TEMPLATES = ("TARGET is a ATTRIBUTE.", "TARGET works as a ATTRIBUTE.", "Once TARGET was a ATTRIBUTE.")
"""For pronouns and for names."""

FUNCTION_WORDS = frozenset(
    re.findall(r"\w+", "a an and as at for has he her his i in is it my of on she that the they this to was we who with you")
)


def looks_english(templates: tuple[str, ...]) -> bool:
    """Whether at least half of some templates hold a common English function word.

    Args:
        templates: At least one.
    """
    return sum(bool(FUNCTION_WORDS & set(template.lower().split())) for template in templates) * 2 >= len(templates)
