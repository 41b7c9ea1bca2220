"""The cards of the metrics of generated text: what each measures, on whom, and what is wrong with it."""

from __future__ import annotations

from holdfast.fairness.cards import MetricCard

_BOLD = "Dhamala et al. 2021, 'BOLD: Dataset and metrics for measuring biases in open-ended language generation', FAccT"
_GROUPS = (
    "the groups of BOLD, or any group of the prompts: gender, race, profession, religious and political ideology, of the United States"
)
_PROMPTS = "what the model goes on with from beginnings of Wikipedia sentences"
_BINARY = "Word lists of two genders encode binary gender: people outside of it are neutral to the measure, and so not seen by it."
_LIST = "A list of words sees no irony and little context, and was chosen by few people; other lists give other numbers."
_SCORER = "What the scorer misjudges by group is counted as the model's: look at the scorer itself with `scorer_predictions`."
_UNITED_STATES = "Prompts and word lists are United States English; the groups are those of its Wikipedia."
_PROMPTING = "Measures from prompts agree poorly with each other (Zayed et al. 2024)."
_DECODING = "Numbers change with the decoding: compare only at one top_p, temperature and length (after Cao et al. 2022)."

GENDER_POLARITY_UNIGRAM = MetricCard(
    name="gender-polarity-unigram",
    title="Gender polarity of generated text, by counts of gendered words (BOLD, unigram)",
    notion="association of professions and groups with a gender",
    groups=_GROUPS,
    source_text=_PROMPTS,
    level="generation",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="neither",
    criticism=(
        _BINARY,
        "The ratio min(F/M, M/F) is far below 1 under exact parity where few texts are gendered; read it beside its parity null only.",
        _UNITED_STATES,
        _DECODING,
    ),
    harms="A model that writes of nurses as women and of engineers as men teaches that other people do not belong there.",
    reference=f"{_BOLD}, for the lists and the majority rule; Gupta et al. 2022 (Findings of ACL), for the ratio over professions",
)

GENDER_POLARITY_EMBEDDING = MetricCard(
    name="gender-polarity-embedding",
    title="Gender polarity of generated text, by projections of word vectors (BOLD, embedding)",
    notion="association of professions and groups with a gender",
    groups=_GROUPS,
    source_text=_PROMPTS,
    level="generation",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="neither",
    criticism=(
        _BINARY,
        "The vectors carry stereotypes of their own; without neutralising, a text about nursing is female by its words alone.",
        "Neutralising along one direction does not take gender out of the vectors (Gonen and Goldberg 2019).",
        "Published numbers rest on word2vec with about 1,400 gender-specific words; other vectors and lists give others.",
        _DECODING,
    ),
    harms="A model that writes of nurses as women and of engineers as men teaches that other people do not belong there.",
    reference=f"{_BOLD}, section 4; after Gupta et al. 2022 (Findings of ACL), for the thresholds and the ratio over professions",
)

GENERATION_SENTIMENT = MetricCard(
    name="generation-sentiment",
    title="Sentiment of generated text by group (BOLD prompts, local scorer)",
    notion="unequal sentiment",
    groups=_GROUPS,
    source_text=_PROMPTS,
    level="generation",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="lower is better",
    criticism=(
        "A text about persecution is negative without being against the persecuted: sentiment is not regard (Sheng et al. 2019).",
        _LIST,
        _SCORER,
        _UNITED_STATES,
        _PROMPTING,
        _DECODING,
    ),
    harms="Groups of which a model writes mostly in bad words are shown in a bad light to everybody who reads it.",
    reference=f"{_BOLD}; the scorer is named in the conditions and is not VADER",
)

GENERATION_TOXICITY = MetricCard(
    name="generation-toxicity",
    title="Toxicity of generated text by group (BOLD prompts, local scorer)",
    notion="unequal toxicity",
    groups=_GROUPS,
    source_text=_PROMPTS,
    level="generation",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="lower is better",
    criticism=(
        "Classifiers of toxicity call harmless texts about some groups toxic, because those groups are often insulted in their data "
        "(Dixon et al. 2018; Borkan et al. 2019).",
        "The built-in word list misses toxicity without insults, and holds no slurs against groups; train a scorer.",
        "A scorer trained on social media calls much of Wikipedia toxic: read no share without that of people beside it.",
        "The largest of k texts grows with k: compare at one k only.",
        _SCORER,
        _DECODING,
    ),
    harms="Groups about whom a model writes insults are insulted by it, and are driven from where it is used.",
    reference=f"{_BOLD}; Gehman et al. 2020, 'RealToxicityPrompts', for the largest of k; the scorer is named in the conditions",
)

GENERATION_REGARD = MetricCard(
    name="generation-regard",
    title="Regard of generated text by group (BOLD prompts, our rule over a word list)",
    notion="unequal regard for the people that a text is about",
    groups=_GROUPS,
    source_text=_PROMPTS,
    level="generation",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="lower is better",
    criticism=(
        "The built-in rule is ours and not the classifier of Sheng et al.: it guesses by pronouns which sentences speak of the subject, so "
        "its numbers must not be set beside theirs.",
        _LIST,
        "Words for social standing carry the ranking of one society: 'homeless' counts as bad here because readers look down.",
        _SCORER,
        _UNITED_STATES,
        _DECODING,
    ),
    harms="Groups whom a model shows as criminal, lazy or base are looked down upon by those who read it.",
    reference="Sheng et al. 2019, 'The woman worked as a babysitter', EMNLP, for the notion",
)

HONEST = MetricCard(
    name="honest",
    title="HONEST: hurtful completions of identity templates",
    notion="hurtful stereotypes",
    groups="the identities of the templates; women and men in the built-in ones",
    source_text="what the model goes on with from short templates about identities",
    level="generation",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="lower is better",
    criticism=(
        "A word from the lexicon counts as hurtful whatever the sentence says of it.",
        "The published score rests on HurtLex, level conservative; the built-in list is ours, shorter, and gives other numbers.",
        "One public implementation scores words by the rule for sentences, and the other way round (huggingface/evaluate#797).",
        _BINARY,
        _PROMPTING,
    ),
    harms="People of an identity whose mention is met with insults are hurt by reading them, and by others learning them.",
    reference="Nozza, Bianchi and Hovy 2021, 'HONEST: Measuring hurtful sentence completion in language models', NAACL",
)
