"""The population of a federation: who has which examples, how it lies on disk, and who is there in a round."""

from holdfast.federated.population.availability import AVAILABILITIES, Always, Availability, Diurnal, Independent, Markov, availability
from holdfast.federated.population.clients import Clients
from holdfast.federated.population.store import Store, open_store, write_store
from holdfast.federated.population.stragglers import Outcome, Stragglers, stragglers
from holdfast.federated.population.synthetic import write_synthetic

__all__ = [
    "AVAILABILITIES",
    "Always",
    "Availability",
    "Clients",
    "Diurnal",
    "Independent",
    "Markov",
    "Outcome",
    "Store",
    "Stragglers",
    "availability",
    "open_store",
    "stragglers",
    "write_store",
    "write_synthetic",
]
