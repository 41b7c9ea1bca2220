"""What every measured process has imported before it starts; importing computes nothing."""

import contextlib
import importlib
import logging
import os
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

for _name in (
    "transformers.models.bert.modeling_bert",
    "transformers.models.distilbert.modeling_distilbert",
    "transformers.models.gpt2.modeling_gpt2",
    "opacus",
    "opacus.validators",
    "peft",
    "private_step.engines",
):
    with contextlib.suppress(ImportError):  # an engine that needs it will say so
        importlib.import_module(_name)
